// The upload page: drag and drop, a preview, and hints about the photo before it is sent (photo_hints.js).
// Hints never block. The size limit comes from the page (`data-max-bytes`, `data-max-size`).
"use strict";

const SMALL = 320; // px on the short side; the server decides

function showHint(drop, text) {
  const hint = drop.querySelector("[data-drop-hint]");
  if (hint) hint.textContent = text;
}

function showAdvice(drop, sentences) {
  const list = drop.querySelector("[data-drop-advice]");
  if (!list) return;
  list.replaceChildren(
    ...sentences.map((sentence) => {
      const item = document.createElement("li");
      item.textContent = sentence;
      return item;
    }),
  );
  list.hidden = !sentences.length;
}

async function showPreview(drop, file) {
  const preview = drop.querySelector("[data-drop-preview]");
  showAdvice(drop, []);
  showHint(drop, `${file.name}, ${(file.size / 1e6).toFixed(1)} MB`);
  if (file.size > Number(drop.dataset.maxBytes)) showHint(drop, `${file.name} is larger than ${drop.dataset.maxSize}. The server will refuse it: send a smaller photo.`);
  if (!preview) return;
  if (preview.src) URL.revokeObjectURL(preview.src);
  preview.src = URL.createObjectURL(file);
  try {
    await preview.decode();
    preview.hidden = false;
    const side = Math.min(preview.naturalWidth, preview.naturalHeight);
    if (side < SMALL) showHint(drop, `${file.name} is small (${preview.naturalWidth} x ${preview.naturalHeight}). A larger photo gives a more reliable answer.`);
    showAdvice(drop, photoHints.advise(photoHints.measure(preview, preview.naturalWidth, preview.naturalHeight)));
  } catch {
    preview.hidden = true;
    const dicom = /\.dcm$/i.test(file.name);
    showHint(drop, dicom ? `${file.name} can be sent. DICOM files have no preview.` : `${file.name} has no preview. Send a JPEG, PNG or WebP photo.`);
  }
}

function prepare(drop) {
  const inputs = [...drop.querySelectorAll("input[type=file]")];
  if (drop.dataset.ready || !inputs.length) return;
  drop.dataset.ready = "1";
  for (const input of inputs) {
    input.addEventListener("change", () => {
      // Camera and gallery are two inputs of one form: the last one used counts.
      for (const other of inputs) if (other !== input) other.value = "";
      if (input.files[0]) showPreview(drop, input.files[0]);
    });
  }
  for (const type of ["dragenter", "dragover"]) {
    drop.addEventListener(type, (event) => {
      event.preventDefault();
      drop.classList.add("drop--over");
    });
  }
  for (const type of ["dragleave", "drop"]) drop.addEventListener(type, () => drop.classList.remove("drop--over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    if (!event.dataTransfer.files.length) return;
    const input = drop.querySelector("input[type=file]:not([capture])") || inputs[0];
    input.files = event.dataTransfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });
}

function prepareAll() {
  for (const drop of document.querySelectorAll("[data-drop]")) prepare(drop);
}

prepareAll();
document.addEventListener("htmx:afterSettle", prepareAll);

document.addEventListener("htmx:xhr:progress", (event) => {
  const bar = event.detail.elt.querySelector?.("progress[data-upload]");
  if (bar && event.detail.lengthComputable) bar.value = event.detail.loaded / event.detail.total;
});
