"""Where uvicorn, the twin, does otherwise than is right, and why we leave it: it stands behind a proxy, or is somebody else's choice."""

_LAX = "llhttp lets it through, and uvicorn has no opinion: ours refuses"
_TARGET = "uvicorn takes what `parse_url` makes of a target"
_HOST = "uvicorn does not look at Host; the gateway does, while it listens on loopback"
_LENGTH = "uvicorn has no limit of its own but the head's"
_CODING = "llhttp looks at the last coding alone, and uvicorn at none"
_CUT = (
    "uvicorn ends the connection at once where something else than a request follows, and with it the answer before it"
)
_UPGRADE = "uvicorn does not read the body of a request that would change the protocol, and forgets what follows"
_EXPECT = "uvicorn knows one expectation, whatever the version"
_FIELD = "an answer that cannot be written ends in nothing: uvicorn has begun it"
_FORM = "the scheme in capitals, which RFC 9112 (section 3.2.2) allows, is none to uvicorn"

# id: (what uvicorn says, why)
TWIN = {
    **{f"Q2.{i}": ("200", _LAX) for i in range(3)},
    **{f"Q3.{i}": ("200", _LAX) for i in (0, 5)},
    **{f"Q4.{i}": ("200x", _LAX) for i in range(3)},
    "Q6.0": ("200x", _LAX),
    **{f"Q6.{i}": ("200", _LAX) for i in (1, 2, 3)},
    **{f"Q8.{i}": ("200", _TARGET) for i in (5, 6, 7, 10)},
    **{f"Q9.{i}": ("200", _TARGET) for i in (0, 2, 3)},
    "Q9-fine.1": ("400x", _FORM),
    "Q10.0": ("200", _LENGTH),
    **{f"Q11.{i}": ("200", _HOST) for i in range(10)},
    "Q18.0": ("200", _LENGTH),
    "Q26": ("x", _CUT),
    "Q26-long": ("x", _CUT),
    **{f"Q31.{i}": ("200", _CODING) for i in range(2)},
    **{f"Q32.{i}": ("200", _CODING) for i in range(2)},
    "Q35": ("200x", _LAX),
    **{f"Q40.{i}": ("200", _LENGTH) for i in range(2)},
    "Q49-old": ("100", _EXPECT),
    "Q49-other": ("", _EXPECT),
    "Q52": ("200", _UPGRADE),
    "Q52-chunks": ("200", _UPGRADE),
    "Q52-no-body": ("200", _UPGRADE),
    "Q56.1": ("200", _LAX),
    "Q58": ("x", _CUT),
    **{f"Q69.{i}": ("x", _FIELD) for i in range(5)},
}
