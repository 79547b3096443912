"""Rightseat under the name that the guide "Production patterns for the GitHub Copilot SDK" uses, with the names it defines. Re-exports only."""

from rightseat import __version__
from rightseat.patterns.names import *
