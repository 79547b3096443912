"""Rightseat under the name of the distribution of the official SDK. Re-exports only."""

from rightseat import *
from rightseat import __version__
