// What the pages do beyond reading. Everything here is a comfort: without it, pages read and forms send all the same.
"use strict";

const POLL_MS = 5000;
const PATIENCE_MS = 3000; // a socket that is away longer than this: poll until it is back

// --- live, reconnecting or polling -----------------------------------------------------------------------------

function followLive(live) {
  const mark = document.getElementById("connection");
  const words = { live: "Live", reconnecting: "Reconnecting", polling: "Polling every 5 s" };
  let patience = 0;
  let poll = 0;

  function show(state) {
    mark.dataset.state = state;
    mark.textContent = words[state];
  }

  function fetchFragments() {
    if (!document.hidden) {
      htmx.ajax("GET", live.dataset.fragments, { source: live, swap: "none" });
    }
  }

  function lost() {
    if (poll || patience) return;
    show("reconnecting");
    patience = setTimeout(() => {
      show("polling");
      fetchFragments();
      poll = setInterval(fetchFragments, POLL_MS);
    }, PATIENCE_MS);
  }

  function found() {
    clearTimeout(patience);
    clearInterval(poll);
    patience = poll = 0;
    show("live"); // the server sends the whole page on each connection
  }

  live.addEventListener("htmx:wsOpen", found);
  live.addEventListener("htmx:wsClose", lost);
  lost();
}

// --- focus survives a swap ---------------------------------------------------------------------------------------

function keepFocus() {
  let focused = null;
  const selector = (element) =>
    element.id ? "#" + CSS.escape(element.id)
      : element.getAttribute("href") ? `[href="${CSS.escape(element.getAttribute("href"))}"]` : null;
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    const active = document.activeElement;
    focused = event.detail.target.contains(active) && selector(active) ? [event.detail.target.id, selector(active)] : null;
  });
  document.addEventListener("htmx:oobAfterSwap", () => {
    if (!focused) return;
    const again = document.getElementById(focused[0])?.querySelector(focused[1]);
    if (again) again.focus({ preventScroll: true });
    focused = null;
  });
}

// --- so do ticks -------------------------------------------------------------------------------------------------

function keepTicks() {
  let ticked = [];
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    ticked = [...event.detail.target.querySelectorAll("input:checked[id]")].map((input) => input.id);
  });
  document.addEventListener("htmx:oobAfterSwap", () => {
    for (const id of ticked) {
      const input = document.getElementById(id);
      if (input) input.checked = true;
    }
    ticked = [];
  });
}

// --- what changed is said: a region that is swapped itself is not read out ---------------------------------------

function announceChanges() {
  const region = document.getElementById("announcement");
  const current = () => document.querySelector("[data-announce]")?.dataset.announce ?? "";
  let said = current();
  document.addEventListener("htmx:oobAfterSwap", () => {
    if (current() !== said) region.textContent = said = current();
  });
}

// --- times in the viewer's zone ------------------------------------------------------------------------------------

const DAY_MS = 24 * 3600 * 1000;
const UNITS = [["day", DAY_MS], ["hour", 3600 * 1000], ["minute", 60 * 1000], ["second", 1000]];
const two = (number) => String(number).padStart(2, "0");
const relative = new Intl.RelativeTimeFormat("en", { numeric: "always", style: "short" });

function timeText(moment, kind) {
  const past = Date.now() - moment;
  if (kind === "ago" && Math.abs(past) < 30 * DAY_MS) {
    const [unit, length] = UNITS.find(([, size]) => Math.abs(past) >= size) ?? UNITS.at(-1);
    return relative.format(-Math.trunc(past / length), unit);
  }
  const time = `${two(moment.getHours())}:${two(moment.getMinutes())}:${two(moment.getSeconds())}`;
  if (kind === "clock") {
    const day = moment.toLocaleDateString("en", { month: "short", day: "numeric" });
    return `${day}, ${time}.${String(moment.getMilliseconds()).padStart(3, "0")}`;
  }
  return `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())} ${time}`;
}

function localTimes(root) {
  for (const element of root.querySelectorAll("time[data-time]")) {
    const text = timeText(new Date(element.dateTime), element.dataset.time);
    if (element.textContent !== text) element.textContent = text;
  }
}

function keepTimesLocal() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "your zone";
  for (const element of document.querySelectorAll("[data-zone]")) element.textContent = `times are ${zone}`;
  localTimes(document);
  // What a swap brings is put right before it is painted.
  new MutationObserver(() => localTimes(document)).observe(document.getElementById("main"), { childList: true, subtree: true });
  setInterval(() => document.hidden || localTimes(document), 1000);
}

// --- forms -------------------------------------------------------------------------------------------------------

function onlyTheChosenModel(form) {
  const choice = form.querySelector('select[name$="model_type"]');
  const show = () => {
    for (const fieldset of form.querySelectorAll("fieldset[data-model]")) {
      fieldset.hidden = fieldset.disabled = fieldset.dataset.model !== choice.value;
    }
  };
  choice.addEventListener("change", show);
  show();
}

function fillCapacity(form) {
  const capacity = form.querySelector('[data-fill="tflops"]');
  form.querySelector("select").addEventListener("change", (event) => {
    const tflops = event.target.selectedOptions[0]?.dataset.tflops;
    if (tflops) capacity.value = tflops;
  });
}

function copies(button) {
  if (!navigator.clipboard) return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
  });
}

function sendOnce(form) {
  const buttons = form.querySelectorAll("button");
  form.addEventListener("submit", () => setTimeout(() => buttons.forEach((button) => (button.disabled = true))));
  // A page that comes back out of the browser's memory can be sent again.
  window.addEventListener("pageshow", () => buttons.forEach((button) => (button.disabled = false)));
}

document.addEventListener("DOMContentLoaded", () => {
  keepTimesLocal();
  for (const form of document.forms) {
    sendOnce(form);
    if (form.querySelector("fieldset[data-model]")) onlyTheChosenModel(form);
    if (form.querySelector('[data-fill="tflops"]')) fillCapacity(form);
  }
  document.querySelectorAll("[data-copy]").forEach(copies);
  const live = document.getElementById("live");
  if (live) {
    keepFocus();
    keepTicks();
    announceChanges();
    followLive(live);
  }
});
