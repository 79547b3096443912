"""Draw the gateway's figures: `python -m benchmarks.gateway --json | python -m benchmarks.plot docs/images/comparison.svg`. Standard library only."""

import json
import math
import sys
from html import escape
from pathlib import Path

ROWS = (("whole", "Whole answer"), ("stream", "Stream, at once"), ("paced", "Stream, paced"))
COLOURS = ("#2f7de1", "#e08a2f", "#7a8797")
WIDTH, LEFT, BAR, GAP = 860, 210, 15, 14


def draw(found: dict) -> str:
    """Bars on a logarithmic scale: a third more is a bit longer, ten times is one step."""
    names = [name for name in found if not name.startswith("Rightseat,")]
    values = [found[name][kind]["cpu_ms"] for name in names for kind, _ in ROWS if kind in found[name]]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    scale = (WIDTH - LEFT - 90) / (high - low)
    parts, y = [], 46
    for i, (_, title) in enumerate(ROWS):
        x = LEFT + i * 170
        parts.append(
            f'<rect x="{x}" y="10" width="12" height="12" fill="{COLOURS[i]}"/><text x="{x + 18}" y="20">{title}</text>'
        )
    top = y - 8
    for name in names:
        weight = ' font-weight="700"' if name == "Rightseat" else ""
        parts.append(f'<text x="{LEFT - 10}" y="{y + 1.9 * BAR}" text-anchor="end"{weight}>{escape(name)}</text>')
        for i, (kind, _) in enumerate(ROWS):
            if kind in found[name]:
                value = found[name][kind]["cpu_ms"]
                width = max(2.0, (math.log10(value) - low) * scale)
                parts.append(
                    f'<rect x="{LEFT}" y="{y + i * BAR}" width="{width:.1f}" height="{BAR - 3}" fill="{COLOURS[i]}"/>'
                )
                parts.append(
                    f'<text x="{LEFT + width + 6:.1f}" y="{y + i * BAR + 11}" font-size="11">{value:.2f}</text>'
                )
        y += 3 * BAR + GAP
    for power in range(low, high + 1):
        x = LEFT + (power - low) * scale
        parts.insert(
            0,
            f'<line x1="{x}" x2="{x}" y1="{top}" y2="{y}" stroke="#c9d0d8"/><text x="{x}" y="{y + 14}" text-anchor="middle" font-size="11">{10**power:g} ms</text>',
        )
    style = (
        '<style>text{font:13px system-ui,sans-serif;fill:#1a2029}</style><rect width="100%" height="100%" fill="#fff"/>'
    )
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 24}" role="img" aria-label="CPU per request by gateway">{style}{"".join(parts)}</svg>\n'


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw(json.load(sys.stdin)["main"]))
