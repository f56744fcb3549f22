// The upper part of the login panel: heading, user code, result or error, status.
//
// Nothing of it is in the widget's state. On render, and when the connection to the kernel changes,
// the card says {kind: "ready"}; Python answers with {kind: "show", phase, status, ...}, and sends the
// same whenever something changes. Text only ever becomes text, never markup.

const ANSWER_MS = 4000;
const COPIED_MS = 2000;

function node(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

// A sentence; what stands in `backticks` is a command or a name.
function prose(tag, className, text) {
  const parts = text.split(/`([^`]+)`/);
  return node(tag, className, ...parts.map((part, i) => (i % 2 ? node("code", "", part) : part)));
}

function button(text, className, onClick) {
  const made = node("button", `mm-login-action ${className}`, text);
  made.type = "button";
  made.addEventListener("click", onClick);
  return made;
}

// Whether the text of `holder` is in the clipboard now. If not it is selected, ready for Ctrl+C.
async function copy(holder) {
  try {
    await navigator.clipboard.writeText(holder.textContent);
    return true;
  } catch {
    // no permission, or a page without https, which has no `navigator.clipboard`
    const range = document.createRange();
    range.selectNodeContents(holder);
    const selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    return document.execCommand("copy");
  }
}

function waiting({ user_code, address, is_link, expires_in_s }, every) {
  const code = node("div", "mm-login-code", user_code);
  code.setAttribute("aria-label", `Code ${[...user_code].join(" ")}`);
  code.setAttribute("role", "group");

  const copying = button("Copy", "mm-login-copy", async () => {
    copying.textContent = (await copy(code)) ? "Copied" : "Press Ctrl+C";
    setTimeout(() => (copying.textContent = "Copy"), COPIED_MS);
  });
  copying.setAttribute("aria-live", "polite");

  const where = node("span", "mm-login-address", address);
  const actions = [];
  if (is_link) {
    const link = node("a", "mm-login-action mm-login-open", "Open the sign-in page");
    link.href = address;
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    actions.push(link);
  }

  const left = node("span", "mm-login-left");
  left.setAttribute("role", "timer");
  const deadline = Date.now() + expires_in_s * 1000;
  every(() => {
    const seconds = Math.max(0, Math.round((deadline - Date.now()) / 1000));
    const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    left.textContent = seconds ? `Valid for ${clock}` : "The code has expired.";
  });

  return [
    node("p", "mm-login-text", "Open the sign-in page and confirm this code:"),
    node("div", "mm-login-code-row", code, copying),
    node("div", "mm-login-actions", ...actions, left),
    where,
  ];
}

function done({ facts, note }) {
  const list = node("dl", "mm-login-facts");
  for (const [name, value] of facts) list.append(node("dt", "", name), node("dd", "", value));
  return note ? [list, prose("p", "mm-login-note", note)] : [list];
}

function failed({ error }) {
  const alert = prose("p", "mm-login-error", error);
  alert.setAttribute("role", "alert");
  return [alert];
}

const lost = () =>
  failed({
    error: "The kernel does not answer. Wait if it is busy; if it was restarted, " +
      "run `%minimax login` again.",
  });

// ipywidgets gives a group of radio buttons a label that names nothing
function nameGroups(panel) {
  for (const group of panel.querySelectorAll(".mm-login-choice")) {
    group.setAttribute("role", "radiogroup");
    group.setAttribute("aria-label", group.querySelector(".widget-label")?.textContent ?? "");
  }
}

const BODIES = { waiting, done, failed, lost };
const RUNNING = ["asking", "waiting", "checking"];

function render({ model, el }) {
  const heading = node("h3", "mm-login-heading");
  const body = node("div", "mm-login-body");
  const sentence = node("span", "");
  const status = node("p", "mm-login-status", node("span", "mm-login-spinner"), sentence);
  status.setAttribute("role", "status"); // stays in the page, so that changes are read out
  const card = node("div", "mm-login-card", heading, body, status);
  el.append(card);

  let shown = "";
  let ticking;
  let unanswered;

  function every(tick) {
    tick();
    ticking = setInterval(tick, 1000);
  }

  function say(text) {
    if (sentence.textContent !== text) sentence.textContent = text;
    status.classList.toggle("mm-login-silent", !text);
  }

  function show(content) {
    const { phase, status: text = "", title, user_code, usable } = content;
    const now = `${phase} ${user_code ?? ""}`;
    if (now !== shown) {
      // otherwise it is only the status: a selection, a focus and "Copied" survive that
      shown = now;
      clearInterval(ticking);
      heading.textContent = title ?? "Log in to MiniMax";
      card.dataset.phase = phase;
      body.replaceChildren(...(BODIES[phase]?.(content, every) ?? []));
      card.classList.toggle("mm-login-running", RUNNING.includes(phase));
      const panel = el.closest(".mm-login");
      if (panel) {
        panel.classList.toggle("mm-login-lost", phase === "lost"); // hides what does nothing now
        nameGroups(panel);
      }
    }
    say(phase === "done" && usable ? "You can run %%minimax now." : text);
  }

  function ask() {
    clearTimeout(unanswered);
    unanswered = setTimeout(() => show({ phase: "lost" }), ANSWER_MS);
    try {
      model.send({ kind: "ready" });
    } catch {
      // the connection was closed: nobody will answer, which is then said
    }
  }

  function receive(content) {
    if (content?.kind !== "show") return;
    clearTimeout(unanswered);
    show(content);
  }

  model.on("msg:custom", receive);
  model.on("comm_live_update", ask);
  heading.textContent = "Log in to MiniMax";
  say("");
  ask();

  return () => {
    model.off("msg:custom", receive);
    model.off("comm_live_update", ask);
    clearTimeout(unanswered);
    clearInterval(ticking);
  };
}

export default { render };
