// A large file of the form goes up in parts, as the command sends it: hashed first, only what the network lacks, and on
// after a cut. Small files, and pages without this script, send the form as ever.

const READ_BYTES = 4 * 1024 * 1024; // hashed at a time
const PAUSES_MS = [500, 1000, 2000, 4000, 8000, 15000, 30000]; // before a call is tried again
const CONFLICT = 409;
const ASK_MS = 1000; // how often the network is asked how far reading is
const BROKEN = "The connection broke and did not come back. What has arrived is kept: send the file again to go on.";
const LOGGED_OUT = "You are no longer logged in. Log in, and send the file again from here: what has arrived is kept.";
const UNREADABLE = "The file could not be read; it may have changed, or be gone. Choose it again.";

// --- SHA-256 of what is too large for memory, which crypto.subtle cannot take (FIPS 180-4) -------------------------

const K = new Int32Array([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
]);

class Sha256 {
  constructor() {
    this.state = new Int32Array([
      0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
    ]);
    this.words = new Int32Array(64);
    this.rest = new Uint8Array(0);
    this.length = 0;
  }

  update(bytes) {
    this.length += bytes.length;
    const joined = new Uint8Array(this.rest.length + bytes.length);
    joined.set(this.rest);
    joined.set(bytes, this.rest.length);
    const whole = joined.length - (joined.length % 64);
    const view = new DataView(joined.buffer);
    for (let at = 0; at < whole; at += 64) this.block(view, at);
    this.rest = joined.slice(whole);
  }

  block(view, at) {
    const w = this.words, old = this.state;
    for (let i = 0; i < 16; i++) w[i] = view.getInt32(at + 4 * i);
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15], y = w[i - 2];
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
    }
    let a = old[0], b = old[1], c = old[2], d = old[3], e = old[4], f = old[5], g = old[6], h = old[7];
    for (let i = 0; i < 64; i++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g; g = f; f = e; e = (d + t1) | 0; d = c; c = b; b = a; a = (t1 + t2) | 0;
    }
    old[0] += a; old[1] += b; old[2] += c; old[3] += d; old[4] += e; old[5] += f; old[6] += g; old[7] += h;
  }

  hex() {
    const bits = this.length * 8;
    const end = new Uint8Array(((this.rest.length + 9 + 63) >> 6) << 6);
    end.set(this.rest);
    end[this.rest.length] = 0x80;
    const view = new DataView(end.buffer);
    view.setUint32(end.length - 8, Math.floor(bits / 2 ** 32));
    view.setUint32(end.length - 4, bits >>> 0);
    for (let at = 0; at < end.length; at += 64) this.block(view, at);
    return [...this.state].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }
}

async function sha256(file, say) {
  const hash = new Sha256();
  for (let start = 0; start < file.size; start += READ_BYTES) {
    say("Looking through the file", start / file.size);
    hash.update(new Uint8Array(await file.slice(start, start + READ_BYTES).arrayBuffer()));
  }
  return hash.hex();
}

// --- calls that are tried again -----------------------------------------------------------------------------------

class Refused extends Error {
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// What the network answers; a cut, or a network that is away or busy for a while, is waited for.
async function call(method, path, token, body) {
  const blob = body instanceof Blob;
  const headers = { "X-CSRFToken": token, "Content-Type": blob ? "application/octet-stream" : "application/json" };
  const sent = body === undefined || blob ? body : JSON.stringify(body);
  for (const ms of [...PAUSES_MS, 0]) {
    let answer = null;
    try {
      answer = await fetch(path, { method, headers, body: sent, credentials: "same-origin" });
      if (answer.ok) return await answer.json();
    } catch {
      answer = null; // the connection broke
    }
    const later = !answer || answer.status === 429 || (answer.status >= 500 && answer.status !== 507);
    if (!later) {
      const said = await answer.json().catch(() => ({}));
      const sentence = said.error || said.detail || `The network refused it (${answer.status}).`;
      // A form's token ends with the log-in that it was made under.
      const out = answer.status === 401 || (answer.status === 403 && sentence.startsWith("CSRF"));
      throw new Refused(out ? LOGGED_OUT : sentence, answer.status);
    }
    if (ms) await pause(ms);
  }
  throw new Refused(BROKEN);
}

// --- sending ------------------------------------------------------------------------------------------------------

async function sendParts(file, token, upload, path, say) {
  let here = upload.parts - upload.missing.length;
  for (const number of upload.missing) {
    say("Sending", here / upload.parts);
    const start = number * upload.part_bytes;
    // Read first: a file that has changed since is no broken connection.
    const part = new Blob([await file.slice(start, start + upload.part_bytes).arrayBuffer()]);
    await call("PUT", `${path}/parts/${number}`, token, part);
    here += 1;
  }
}

// The name of the dataset that came of the file.
async function send(file, token, say) {
  const asked = { filename: file.name, size_bytes: file.size, sha256: await sha256(file, say) };
  let upload = await call("POST", "/uploads", token, asked);
  const path = `/uploads/${upload.upload_id}`;
  if (upload.state === "uploading") {
    await sendParts(file, token, upload, path, say).catch((problem) => {
      if (problem.status !== CONFLICT) throw problem; // else another tab sends the same and was first to finish
    });
    upload = await call("POST", `${path}/finish`, token, {});
  }
  while (upload.state === "reading") {
    say("All has arrived. The network reads it", upload.progress);
    await pause(ASK_MS);
    upload = await call("GET", path, token);
  }
  if (upload.state !== "ready") throw new Refused(upload.reason || "The upload was not finished; send the file again.");
  return upload.dataset_id;
}

function inParts(form) {
  const input = form.querySelector("input[type=file]"), button = form.querySelector("button");
  const shown = form.querySelector(".progress"), bar = shown.querySelector("progress");
  const error = form.querySelector("[role=alert]"), label = shown.querySelector("label");

  function say(doing, share) {
    label.textContent = `${doing}, ${Math.floor(100 * share)} %`;
    bar.value = share;
  }

  function beReady() {
    input.disabled = button.disabled = false;
    shown.hidden = true;
  }

  form.querySelector("[data-without-script]").hidden = true;
  window.addEventListener("pageshow", beReady); // also where the way back shows the page as it was left
  form.addEventListener("submit", async (event) => {
    const file = input.files[0];
    if (!file || file.size <= Number(form.dataset.partsAbove)) return;
    event.preventDefault();
    error.hidden = true;
    shown.hidden = false;
    input.disabled = true;
    try {
      const token = form.querySelector("[name=csrfmiddlewaretoken]").value;
      const next = new URL(location.href);
      next.searchParams.set("dataset", await send(file, token, say));
      for (const name of ["target", "c"]) next.searchParams.delete(name); // they were places in other data
      location.assign(next);
    } catch (problem) {
      error.textContent = problem instanceof Refused ? problem.message : UNREADABLE;
      error.hidden = false;
      beReady();
    }
  });
}

document.querySelectorAll("form[data-parts-above]").forEach(inParts);
