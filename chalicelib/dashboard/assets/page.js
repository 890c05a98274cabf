"use strict";
// The server renders every panel. This script fetches the panels with the user's token, and sends files.
(() => {
  const root = location.origin + location.pathname.replace(/\/*$/, "/");
  const TOKEN = "hireflow-token";
  const FINAL = ["succeeded", "failed", "skipped"];
  const MAX_CHECK = 4_500_000; // bytes; the largest compressed file that POST /uploads/check accepts
  const at = (id) => document.getElementById(id);
  const panel = at("panel");
  let current = "", timer = 0, turn = 0, busy = 0;

  class Problem extends Error {
    constructor(status, detail) { super(detail); this.status = status; }
  }

  // --- the API

  async function call(path, { method = "GET", body, headers = {} } = {}) {
    const token = sessionStorage.getItem(TOKEN);
    if (token) headers = { ...headers, Authorization: `Bearer ${token}` };
    let response;
    try {
      response = await fetch(root + path, { method, body, headers, cache: "no-store" });
    } catch {
      throw new Problem(0, "Hireflow cannot be reached.");
    }
    if (response.ok) return response;
    const problem = await response.json().catch(() => ({}));
    const reasons = (problem.errors || []).map((error) => error.reason || error.detail).filter(Boolean).join("; ");
    throw new Problem(response.status, [problem.detail || problem.message || `The API responds with the status ${response.status}.`, reasons].filter(Boolean).join(" "));
  }

  const json = async (path, options) => (await call(path, options)).json();
  const order = (path, body) => json(path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));

  async function ended(loadId, tell) {
    for (;;) {
      const load = await json(`loads/${loadId}`);
      tell(load);
      if (FINAL.includes(load.status)) return load;
      await pause(700);
    }
  }

  // --- moving between panels

  function place() {
    const [name, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
    return { name: /^[a-z]+$/.test(name) ? name : "reports", query };
  }

  async function show(arrived) {
    const { name, query } = place();
    const mine = ++turn;
    clearTimeout(timer);
    if (arrived) panel.setAttribute("aria-busy", "true");
    try {
      const html = await (await call(`dashboard/${name}${query ? `?${query}` : ""}`)).text();
      if (mine !== turn) return;
      trouble("");
      signIn(false);
      if (arrived || (html !== current && resting())) put(html, arrived);
    } catch (problem) {
      if (mine !== turn) return;
      if (problem.status === 401) { signIn(true); return; }
      trouble(problem.message);
      if (arrived) put("", false);
    }
    mark(name);
    panel.setAttribute("aria-busy", "false");
    const refresh = Number(panel.querySelector("[data-refresh]")?.dataset.refresh || (at("trouble").hidden ? 0 : 5000));
    if (refresh) later(refresh);
  }

  // A panel is not refreshed while the user edits a form, after the user has changed a form, or in a hidden tab.
  const chosen = (select) => select.value !== (select.querySelector("[selected]") || select.options[0]).value;
  const resting = () => !document.hidden && !panel.querySelector("select:focus, input:focus") && ![...panel.querySelectorAll("[data-go] select")].some(chosen);
  function later(ms) { timer = setTimeout(() => (resting() ? show(false) : later(ms)), ms); }

  function put(html, arrived) {
    const focused = panel.contains(document.activeElement) ? document.activeElement.id : "";
    current = html;
    panel.innerHTML = html; // safe, because the server has escaped all values in the HTML
    const heading = panel.querySelector("h1");
    document.title = heading ? `${heading.textContent} · Hireflow` : "Hireflow";
    if (arrived && place.moved) heading?.focus();
    else if (focused) at(focused)?.focus();
  }

  function mark(name) {
    const owner = { load: "loads", restore: "backups" }[name] || name;
    for (const link of document.querySelectorAll("[data-panel]")) {
      if (link.dataset.panel === owner) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  function trouble(text) {
    at("trouble").hidden = !text;
    if (at("trouble").textContent !== visible(text)) at("trouble").textContent = visible(text);
  }

  function signIn(needed) {
    const hadToken = sessionStorage.getItem(TOKEN);
    if (needed) {
      sessionStorage.removeItem(TOKEN);
      put("", false);
      panel.setAttribute("aria-busy", "false");
      trouble("");
      if (hadToken) { at("refused").textContent = "This token is unknown or revoked."; at("refused").hidden = false; }
    }
    const appears = needed && at("sign-in").hidden;
    at("sign-in").hidden = !needed;
    if (appears) at("token").focus();
    at("sign-out").hidden = needed || !hadToken;
  }

  at("sign-in").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem(TOKEN, at("token").value.trim());
    at("token").value = "";
    at("refused").hidden = true;
    show(true);
  });
  at("sign-out").addEventListener("click", () => { sessionStorage.removeItem(TOKEN); show(true); });
  addEventListener("hashchange", () => { place.moved = true; show(true); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && panel.querySelector("[data-refresh]")) show(false); });
  addEventListener("beforeunload", (event) => { if (busy) event.preventDefault(); });
  for (const link of document.querySelectorAll("a[data-root]")) link.href = root + link.getAttribute("href");
  document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); at("main").focus(); });

  // --- forms, downloads

  panel.addEventListener("submit", (event) => {
    event.preventDefault();
    const form = event.target, go = form.getAttribute("data-go"); // not form.dataset, because the form has a control named `dataset`
    if (go) {
      const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
      const hash = `#/${go}${query.size === 0 ? "" : `?${query}`}`;
      if (hash === location.hash) show(true); else location.hash = hash;
    }
    if (form.id === "upload") each(upload);
    if (form.id === "restore") restore(form);
  });

  panel.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-download]");
    if (link) { event.preventDefault(); download(link); }
    if (event.target.id === "check") each(check);
    if (event.target.classList.contains("remove")) { event.target.closest("li").remove(); choosable(); at("files").focus(); }
  });

  async function download(link) {
    try {
      const parts = [];
      for (let path = link.getAttribute("href"); path;) {
        const response = await call(path, { headers: { Accept: link.dataset.accept } });
        const part = await response.blob(); // a CSV file that is too large for one response comes in parts, each with the header
        parts.push(parts.length === 0 ? part : (await part.text()).replace(/^.*?\r\n/s, ""));
        path = (/<\/([^>]*)>; rel="next"/.exec(response.headers.get("Link")) || [])[1];
      }
      const url = URL.createObjectURL(new Blob(parts));
      element("a", { href: url, download: link.dataset.download }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    } catch (problem) {
      trouble(problem.message);
    }
  }

  // --- files

  panel.addEventListener("change", (event) => {
    if (event.target.id === "files") { choose(event.target.files); event.target.value = ""; }
    if (event.target.matches("#chosen select")) choosable();
  });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    panel.addEventListener(kind, (event) => {
      const drop = event.target.closest?.("#drop");
      if (!drop) return;
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragover");
      if (kind === "drop") choose(event.dataTransfer.files);
    });
  }
  // Without these listeners, the browser would show a file that the user drops beside the field, in place of the page.
  for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());

  function choose(files) {
    for (const file of files) {
      const item = at("file").content.cloneNode(true).querySelector("li");
      item.file = file;
      item.querySelector(".file-name").textContent = visible(file.name);
      item.querySelector(".file-size").textContent = bytes(file.size);
      const select = item.querySelector("select");
      select.value = datasetOf(file.name, [...select.options].filter((option) => option.value));
      select.setAttribute("aria-label", `Dataset of ${visible(file.name)}`);
      item.querySelector(".remove").setAttribute("aria-label", `Remove ${visible(file.name)}`);
      at("chosen").append(item);
    }
    choosable();
  }

  // Return the dataset of a file, or "". The file's name begins with the dataset's name, or it is the singular of this
  // name, followed only by digits and separators.
  function datasetOf(fileName, options) {
    const stem = fileName.toLowerCase().replace(/\.(?:(?:csv|tsv|txt)(?:\.gz)?|xlsx|avro)$/, "");
    const isSingular = (name) => stem.startsWith(name) && /^[\d\s._()+-]*$/.test(stem.slice(name.length));
    const plural = options.filter((option) => stem.startsWith(option.value));
    const found = plural.length ? plural : options.filter((option) => isSingular(option.dataset.singular));
    return found.map((option) => option.value).sort((one, other) => other.length - one.length)[0] || "";
  }

  const declared = () => Object.fromEntries([...new FormData(at("upload"))].filter(([, value]) => value.trim()));

  function choosable() {
    const items = waiting();
    const ready = items.length > 0 && items.every((item) => item.querySelector("select").value);
    at("send").disabled = at("check").disabled = !ready || busy > 0;
  }

  const waiting = () => [...at("chosen").children].filter((item) => !item.dataset.sent);

  async function each(work) {
    const items = waiting();
    busy += 1;
    choosable();
    for (const item of items) {
      const outcome = item.querySelector(".outcome");
      outcome.replaceChildren();
      try {
        await work(item, item.file, item.querySelector("select").value, outcome);
      } catch (problem) {
        delete item.dataset.sent;
        outcome.replaceChildren(element("p", { class: "alert" }, problem.message));
      }
      item.querySelector("progress").hidden = true;
    }
    busy -= 1;
    if (at("chosen")) choosable();
  }

  async function upload(item, file, dataset, outcome) {
    item.dataset.sent = "1";
    const form = await order("uploads", { dataset, filename: file.name, size: file.size, ...declared() });
    const bar = item.querySelector("progress");
    bar.setAttribute("aria-label", `Sending ${visible(file.name)}`);
    bar.hidden = false;
    await send(form, file, bar);
    for (const part of item.querySelectorAll("select, .remove")) part.disabled = true;
    const load = await ended(form.load_id, (now) => { outcome.textContent = `Load ${now.id}: ${now.status}, ${number(now.received)} rows`; });
    const rejects = load.rejected ? await json(`loads/${load.id}/rejects?limit=5`) : { reasons: [], rejects: [] };
    tell(outcome, load.error || `${load.status}: ${summary(load)}`, { ...rejects, rejected: load.rejected, format: load.format, notices: load.notices }, element("a", { href: `#/load?id=${load.id}` }, `Load ${load.id}`));
  }

  function send(form, file, bar) {
    return new Promise((done, failed) => {
      const request = new XMLHttpRequest();
      request.open("POST", form.url);
      request.upload.addEventListener("progress", (event) => { bar.max = event.total || 1; bar.value = event.loaded; });
      request.addEventListener("load", () => {
        if (request.status < 300) done();
        else failed(new Problem(request.status, `The bucket refused the file: ${/<Message>([^<]*)/.exec(request.responseText)?.[1] || request.status}`));
      });
      request.addEventListener("error", () => failed(new Problem(0, "The file could not be sent: the bucket cannot be reached.")));
      const body = new FormData();
      for (const [name, value] of Object.entries(form.fields)) body.append(name, value);
      body.append("file", file);
      request.send(body);
    });
  }

  async function check(item, file, dataset, outcome) {
    outcome.textContent = "Checking …";
    // The API unpacks a file once, so a file that is packed already stays as it is: gzip, XLSX and Avro, whatever its name.
    const beginning = String.fromCharCode(...new Uint8Array(await file.slice(0, 4).arrayBuffer()));
    const isPacked = /\.(?:gz|xlsx|avro)$/i.test(file.name) || /^(?:\x1f\x8b|PK\x03\x04|Obj\x01)/.test(beginning);
    const zipped = isPacked ? file : await new Response(file.stream().pipeThrough(new CompressionStream("gzip"))).blob();
    if (zipped.size > MAX_CHECK) throw new Problem(413, `The file is too large for a check: its compressed size is ${bytes(zipped.size)}, and a check accepts at most ${bytes(MAX_CHECK)}. Upload the file instead.`);
    const found = await json(`uploads/check?${new URLSearchParams({ dataset, limit: 5, ...declared() })}`, { method: "POST", body: zipped, headers: { "Content-Type": `application/${/\.avro$/i.test(file.name) ? "avro" : "octet-stream"}` } });
    const would = found.error ? `would fail: ${found.error}` : `of these ${number(found.received)} rows would report ${summary(found)}.`;
    tell(outcome, `Nothing was written. A load ${would}`, found);
  }

  function summary(counts) {
    const names = ["inserted", "updated", "unchanged", "superseded", "rejected"].filter((name) => counts[name]);
    const waiting = counts.waiting ? ` (${number(counts.waiting)} waiting)` : "";
    return (names.map((name) => `${number(counts[name])} ${name}`).join(", ") || "no rows") + waiting;
  }

  const DELIMITERS = { ",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes" }; // apart, because a template may not have two braces
  const textAs = (found) => found.delimiter && `separated by ${DELIMITERS[found.delimiter]}, in ${found.encoding.toUpperCase()}`;
  const ignoredIn = (found) => found.ignored_columns.length > 0 && `ignored columns: ${found.ignored_columns.join(", ")}`;
  const readAs = (found) => [`Read as ${found.type.toUpperCase()}`, textAs(found), found.header ? "with a header" : "without a header", ignoredIn(found)].filter(Boolean).join(", ");

  function tell(outcome, text, found, link) {
    const parts = [element("p", {}, text)];
    if (link) parts[0].append(" (", link, ")");
    if (found.format) parts.push(element("p", { class: "note" }, readAs(found.format)));
    for (const notice of found.notices || []) parts.push(element("p", { class: "notice" }, element("bdi", {}, notice)));
    if (found.reasons.length) parts.push(table("Why rows were rejected", ["Reason", "Rows"], found.reasons.map((one) => [element("bdi", {}, one.reason), number(one.count)])));
    if (found.rejects.length) {
      const rows = found.rejects.map((one) => [String(one.line ?? one.index), element("bdi", {}, one.reasons.join("; ")), element("code", { class: "raw" }, element("bdi", {}, one.raw.slice(0, 300)))]);
      parts.push(table(`The first ${found.rejects.length} of ${number(found.rejected)}`, ["Line", "Reasons", "As it was sent"], rows));
    }
    outcome.replaceChildren(...parts);
  }

  // --- restoring

  async function restore(form) {
    const button = form.querySelector("button"), restored = at("restored");
    button.disabled = true;
    busy += 1;
    restored.replaceChildren();
    try {
      for (const box of form.querySelectorAll("[name=dataset]:checked")) { // in the order of the form: parents before children
        const line = restored.appendChild(element("p", {}, `${box.value}: requested`));
        const ordered = await order(`${box.value}/backup/restore`, { restore_point: form.getAttribute("data-point") });
        const load = await ended(ordered.load_id, (now) => { line.textContent = `${box.value}: ${now.status}`; });
        line.textContent = visible(`${box.value}: ${load.error || `${load.status}, ${summary(load)}`} (`);
        line.append(element("a", { href: `#/load?id=${load.id}` }, `load ${load.id}`), ")");
      }
      if (!restored.childElementCount) restored.textContent = "Choose at least one dataset.";
    } catch (problem) {
      restored.append(element("p", { class: "alert" }, problem.message));
    }
    busy -= 1;
    button.disabled = false;
  }

  // --- helpers

  // Show hidden characters as the server does, for example as [U+202E]. They could change the order of the text around them.
  const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;
  function visible(text) {
    return text.replace(HIDDEN, (one) => `[U+${one.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}]`);
  }

  function element(name, attributes = {}, ...content) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...content.map((part) => (typeof part === "string" ? visible(part) : part)));
    return made;
  }

  function table(caption, columns, rows) {
    const cells = (row, name) => element("tr", {}, ...row.map((cell) => element(name, name === "th" ? { scope: "col" } : {}, cell)));
    const made = element("table", {}, element("caption", {}, caption), element("thead", {}, cells(columns, "th")), element("tbody", {}, ...rows.map((row) => cells(row, "td"))));
    return element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": caption }, made);
  }

  const number = (value) => value.toLocaleString("en");
  const bytes = (count) => (count < 1000 ? `${count} bytes` : count < 1e6 ? `${(count / 1e3).toFixed(1)} kB` : `${(count / 1e6).toFixed(1)} MB`);

  show(true);
})();
