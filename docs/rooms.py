"""Prints the rooms with their number of modules and the rooms they import: `.venv/bin/python docs/rooms.py`.

Imports that close a cycle between rooms are marked and make the exit status 1; lint-imports checks their direction.
"""

import sys
from collections import Counter, defaultdict
from pathlib import Path

import grimp

BASE_DIR = Path(__file__).resolve().parent.parent
PACKAGES = ("cataract", "predictions", "review", "training")


def rooms() -> tuple[Counter[str], dict[str, set[str]]]:
    """The number of modules of each folder, and the folders that it imports; without migrations and the top level."""
    graph = grimp.build_graph(*PACKAGES)

    def room_of(module: str) -> str:
        folder = module if graph.find_children(module) else module.rpartition(".")[0]
        return "" if folder in PACKAGES or ".migrations" in folder else folder

    counts: Counter[str] = Counter()
    imports: dict[str, set[str]] = defaultdict(set)
    for module in graph.modules:
        room = room_of(module)
        if not room:
            continue
        counts[room] += not graph.find_children(module)
        imports[room] |= {other for each in graph.find_modules_directly_imported_by(module) if (other := room_of(each))}
    return counts, {room: others - {room} for room, others in imports.items()}


def cycles(imports: dict[str, set[str]]) -> set[tuple[str, str]]:
    """The imports from a room to one that leads back to it."""

    def reachable(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for other in imports.get(waiting.pop(), set()) - seen:
                seen.add(other)
                waiting.append(other)
        return seen

    return {(room, other) for room, others in imports.items() for other in others if room in reachable(other)}


def main() -> int:
    sys.path.insert(0, str(BASE_DIR))
    counts, imports = rooms()
    circular = cycles(imports)
    for room in sorted(room for room, count in counts.items() if count):
        marked = [f"{other} (CYCLE)" if (room, other) in circular else other for other in sorted(imports[room])]
        sys.stdout.write(f"{room:<32}{counts[room]:>3} modules  imports {', '.join(marked) or 'no room'}\n")
    return bool(circular)


if __name__ == "__main__":
    sys.exit(main())
