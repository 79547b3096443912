"""The outer edge: bytes only. No JSON, no protocol, no session in this package.

`base` names the seam; `stdio`, `tcp` and `memory` stand behind it and can take each other's place.
"""
