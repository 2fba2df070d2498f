"""Draws static/pictures, examples of photos and the grades of a cataract: `python docs/drawn_pictures.py`.

They are drawn by `cataract.ml.synthetic`, so the repository holds no photo of a person.
"""

import sys
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(BASE_DIR))

from PIL import Image, ImageDraw  # noqa: E402

from cataract.ml.synthetic import render_eye  # noqa: E402

FOLDER = BASE_DIR / "static" / "pictures"
SEED, DRAWN, SIZE = 5, 640, 320  # px
EYE = {
    "iris": "brown", "skin": 2, "iris_radius": 0.24, "x": 0.5, "y": 0.5, "pupil": 0.55, "opening": 1.0, "rotation": 0.0,
}  # fmt: skip
PICTURES: dict[str, tuple[float, dict[str, float]]] = {
    "photo-good": (0.0, {}),
    "photo-blurred": (0.0, {"defocus": 0.03}),
    "photo-dark": (0.0, {"light": 0.22}),
    "photo-reflection": (0.0, {}),
    "grade-immature": (0.5, {}),
    "grade-mature": (1.0, {}),
}


def draw(name: str) -> Image.Image:
    """One picture of `PICTURES`, SIZE px wide."""
    opacity, change = PICTURES[name]
    look = {"light": 1.05, "warmth": 0.2, "defocus": 0.0015, "noise": 1.0} | change
    picture = Image.fromarray(render_eye(SEED, opacity=opacity, size=DRAWN, **EYE, **look))  # type: ignore[arg-type]
    if name == "photo-reflection":
        ImageDraw.Draw(picture).ellipse((250, 240, 380, 360), fill=(255, 255, 255))
    return picture.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for each in PICTURES:
        draw(each).save(FOLDER / f"{each}.webp", quality=78, method=6)
