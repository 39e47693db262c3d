"""The table of docs/adopting.md: what was tried, how exact it is, what the others lack."""

from __future__ import annotations

from collections import Counter
from typing import Any

Rows = dict[str, dict[str, Any]]
WIDEST = 100
"""Of what is said of a thing that is missing."""
BACKENDS = ("torch", "mindspore", "onnx", "openvino")


def of(rows: Rows) -> str:
    """Return it as Markdown."""
    bases = list(dict.fromkeys(row["code_base"] for row in rows.values()))
    lines = [
        "| code base | tried | adopted | torch | MindSpore | ONNX Runtime | OpenVINO | proven |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for base in bases:
        own = {key: row for key, row in rows.items() if row["code_base"] == base}
        done = {key: row for key, row in own.items() if "errors" in row}
        share = f"{len(done)} ({len(done) / len(own):.0%})"
        cells = [share, *(_worst(done, backend) for backend in BACKENDS), _proven(own)]
        lines.append(f"| {base} | {len(own)} | {' | '.join(cells)} |")
    lines += [
        "",
        "Errors are the largest of the logits, of the largest that the network's own code makes of "
        "the same images, with how many networks ran there; *proven* counts what passed "
        "`zoo.parity` with the original at the table, of those tried, at the training level unless "
        "it says so.",
        "",
        "| network | nodes | parameters | images | torch | MindSpore | ONNX Runtime | OpenVINO | "
        "proof |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for key, row in rows.items():
        if "errors" not in row:
            continue
        cells = [_error(row["errors"].get(backend)) for backend in BACKENDS]
        count = f"{row['parameters'] / 1e6:.1f}M"
        proof = row.get("proof")
        told = _told(proof) if proof else ""
        lines.append(
            f"| {key} | {row['nodes']} | {count} | {row['size']} | {' | '.join(cells)} | {told} |"
        )
    lines += ["", "| not adopted | for want of |", "|---|---|"]
    for key, row in rows.items():
        if "errors" not in row:
            why = row.get("failed") or ", ".join(f"`{_short(kind)}`" for kind in row["refused"][:6])
            lines.append(f"| {key} | {why.replace('|', '/')} |")
    return "\n".join(lines)


def _short(kind: str) -> str:
    return kind if len(kind) <= WIDEST else f"{kind[: WIDEST - 1]}…"


def _worst(rows: Rows, backend: str) -> str:
    errors = [
        row["errors"][backend]
        for row in rows.values()
        if isinstance(row["errors"].get(backend), float)
    ]
    return f"{max(errors):.1e} ({len(errors)})" if errors else ""


def _error(found: Any) -> str:
    if found is None:
        return ""
    return f"{found:.1e}" if isinstance(found, float) else "refused"


def _proven(rows: Rows) -> str:
    tried = Counter(row["proof"]["level"] for row in rows.values() if "proof" in row)
    passed = Counter(
        row["proof"]["level"]
        for row in rows.values()
        if row.get("proof", {}).get("status") == "passed"
    )
    return ", ".join(
        f"{passed[level]} of {count}{'' if level == 'training' else f' ({level})'}"
        for level, count in tried.items()
    )


def _told(proof: dict[str, Any]) -> str:
    status = proof["status"]
    kind = "not proven" if "not proven" in status else status.split(":")[0]
    return f"{proof['level']}: {kind if status == 'passed' or kind == 'not proven' else 'diverges'}"
