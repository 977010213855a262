// Callslip: what a script can make nicer. Every page does its work without it.

// Copy buttons: hidden in the page, shown once they can work.
for (const button of document.querySelectorAll("[data-copy]")) {
  const source = document.getElementById(button.dataset.copy);
  if (!source) continue;
  const label = button.querySelector("[data-copy-label]");
  const before = label.textContent;
  const say = (text) => {
    label.textContent = text;
    setTimeout(() => { label.textContent = before; }, 2000);
  };
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.textContent.trim());
      say("Copied");
    } catch {
      // No clipboard outside a secure context: select it, and the keyboard does the rest.
      getSelection().selectAllChildren(source);
      say("Press Ctrl+C");
    }
  });
}

// On a phone the navigation scrolls sideways: begin where the page is.
const here = document.querySelector(".nav [aria-current]");
if (here) {
  const list = here.closest("ul");
  list.scrollLeft = here.offsetLeft - (list.clientWidth - here.offsetWidth) / 2;
}

// Menus close when attention moves elsewhere.
const menus = document.querySelectorAll("details.menu");
document.addEventListener("click", (event) => {
  for (const menu of menus) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of menus) {
    if (!menu.open) continue;
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// Confirmations open without a script (popover); with one they are modal.
for (const button of document.querySelectorAll("[popovertarget]")) {
  const dialog = document.getElementById(button.getAttribute("popovertarget"));
  if (!(dialog instanceof HTMLDialogElement)) continue;
  if (button.getAttribute("popovertargetaction") === "hide") {
    button.addEventListener("click", (event) => {
      if (!dialog.open) return;
      event.preventDefault();
      dialog.close();
    });
    continue;
  }
  button.addEventListener("click", (event) => {
    event.preventDefault();
    dialog.removeAttribute("popover");
    dialog.showModal();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
}

// A form is sent once, however often its button is pressed.
for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
}
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// A choice that needs no button of its own.
for (const form of document.querySelectorAll("form[data-submit-on-change]")) {
  form.addEventListener("change", () => form.requestSubmit());
}

// What goes on by itself: looked at again every now and then, but not while somebody is at it.
if (document.querySelector("[data-live]")) setTimeout(refresh, 2000);

async function refresh() {
  const section = document.querySelector("[data-live]");
  if (!section) return;
  const isBusy = section.contains(document.activeElement) || section.querySelector("dialog[open], :popover-open, details[open]");
  if (!isBusy && !document.hidden) {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById(section.id);
      if (answer.ok && fresh?.matches("[data-live]")) section.replaceWith(fresh);
      // All is over: what came of it is elsewhere on the page. Nobody loses what they type for it.
      else if (answer.ok && !document.activeElement?.matches("input, select, textarea")) location.reload();
    } catch {
      // Next time, then.
    }
  }
  setTimeout(refresh, 2000);
}

// Uploads: dropped or picked, one request per file, with progress.
for (const form of document.querySelectorAll("form[data-upload]")) upload(form);

function upload(form) {
  const input = form.querySelector("input[type=file]");
  const list = form.querySelector("[data-upload-list]");
  const status = form.querySelector("[data-upload-status]");
  const limit = Number(form.dataset.uploadLimit);

  const over = (yes) => form.classList.toggle("is-over", yes);
  form.addEventListener("dragover", (event) => { event.preventDefault(); over(true); });
  form.addEventListener("dragleave", (event) => { if (!form.contains(event.relatedTarget)) over(false); });
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    input.files = event.dataTransfer.files;
    if (input.files.length) form.requestSubmit();
  });

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const files = [...input.files];
    if (!files.length || form.dataset.busy) return;
    form.dataset.busy = "yes";
    for (const notice of document.querySelectorAll(".main > .notice")) notice.remove();
    list.replaceChildren();
    list.hidden = false;
    status.classList.add("visually-hidden");
    const rows = files.map((file) => row(list, file));
    let refused = 0;
    const waiting = [];
    for (const [index, file] of files.entries()) {
      status.textContent = `Sending ${index + 1} of ${files.length}: ${file.name}`;
      const came = file.size > limit ? { reason: "Larger than 25 MiB" } : await send(form, file, rows[index], waiting);
      rows[index].end(came);
      if (came.reason) refused += 1;
    }
    delete form.dataset.busy;
    input.value = "";
    if (!refused) {
      const done = new URL(waiting.length ? form.dataset.uploadReceived : form.dataset.uploadDone, location.href);
      done.searchParams.set("store", form.elements.store.value);
      location.assign(done);
      return;
    }
    const again = document.createElement("a");
    again.href = form.action;
    again.textContent = "Load the list again";
    status.classList.remove("visually-hidden");
    status.replaceChildren(`${files.length - refused} of ${files.length} files were received whole. `, again);
  });
}

function row(list, file) {
  const item = document.createElement("li");
  const name = document.createElement("span");
  name.textContent = file.name;
  const progress = document.createElement("progress");
  progress.max = 1;
  progress.value = 0;
  progress.setAttribute("aria-label", `Sending ${file.name}`);
  const state = document.createElement("span");
  state.className = "muted";
  state.textContent = "Waiting";
  item.append(name, progress, state);
  list.append(item);
  return {
    at(share) {
      progress.value = share;
      state.textContent = share < 1 ? `${Math.round(share * 100)} %` : "Reading…";
    },
    end({ reason, taken }) {
      progress.hidden = true;
      state.textContent = !reason ? "Received" : taken ? "In part" : "Not added";
      if (!reason) return;
      const why = document.createElement("span");
      why.className = "is-bad";
      why.textContent = reason;
      item.append(why);
    },
  };
}

// Why an answered upload was not accepted. Only our own word for it counts as accepted: a redirect,
// say to the sign-in page, ends in a page that is fine too.
function objection({ status, response, responseURL }, sentTo, name) {
  const refused = response?.refused;
  if (Array.isArray(refused) && refused.length) return told(refused, name);
  if (status === 200 && Array.isArray(refused)) return undefined;
  if (status === 401 || responseURL !== sentTo) return "You are signed out. Reload the page and sign in again.";
  if (status === 403) return "This page is out of date, or you may not add documents any more. Reload it and try again.";
  if (status === 413) return "Larger than 25 MiB";
  if (status === 429 || status === 503) return "Too many uploads just now. Try again in a minute.";
  return "The server could not take it. Try again.";
}

// The first reasons, with what they are about where that is only a part of the file.
function told(refused, name) {
  const about = (part) => (part.startsWith(`${name}:`) ? `Line ${part.slice(name.length + 1)}` : part);
  const first = refused.slice(0, 3).map((one) => (one.name === name ? one.reason : `${about(one.name)}: ${one.reason}`));
  if (refused.length > 3) first.push(`And ${refused.length - 3} more`);
  return first.join("\n");
}

// Resolves to the reason why the file was not accepted, if it was not, and how many documents came
// of it all the same; notes a file that is still being read.
function send(form, file, row, waiting) {
  const data = new FormData(form);
  data.delete("file");
  data.append("file", file, file.name);
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) row.at(event.loaded / event.total);
    });
    request.addEventListener("load", () => {
      if (request.response?.waiting) waiting.push(file);
      const reason = objection(request, form.action, file.name);
      resolve({ reason, taken: request.response?.taken });
    });
    request.addEventListener("error", () => resolve({ reason: "The connection broke. Try again." }));
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.responseType = "json";
    request.send(data);
  });
}
