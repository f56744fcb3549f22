// A button that shows a text with secrets for a minute. The text is asked for when the button is
// pressed: {kind: "show", page} is answered by {kind: "text", page, text, hidden_after_s}. It is kept
// nowhere but in the element that shows it.

const ANSWER_MS = 4000;
const COPIED_MS = 2000;
const NO_ANSWER =
  "The kernel does not answer. Wait if it is busy; if it was restarted, run the cell again.";

function node(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function button(text, className, onClick) {
  const made = node("button", `mm-reveal-button ${className}`, text);
  made.type = "button";
  made.addEventListener("click", onClick);
  return made;
}

// Whether the text is in the clipboard now.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // no permission, or a page without https, which has no `navigator.clipboard`
  }
}

// The older way, for text that is on the page. If it fails the text is selected, ready for Ctrl+C.
function copySelected(holder) {
  const range = document.createRange();
  range.selectNodeContents(holder);
  const selection = window.getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
  return document.execCommand("copy");
}

function render({ model, el }) {
  const page = crypto.getRandomValues(new Uint32Array(2)).join("-"); // which view asks
  const text = node("pre", "mm-reveal-text");
  const said = node("span", "mm-reveal-said");
  said.setAttribute("role", "status");
  let wanted; // what the text is asked for: to "show" or to "copy" it
  let unanswered;
  let ticking;
  let copied;

  const toggle = button("Show the key", "mm-reveal-toggle", () =>
    text.isConnected ? hide() : ask("show"),
  );
  // without showing it, too: somebody may be looking over one's shoulder
  const copying = button("Copy", "mm-reveal-copy", () =>
    text.isConnected ? copyText({ text: text.textContent }) : ask("copy"),
  );
  copying.setAttribute("aria-live", "polite");
  const panel = node("div", "mm-reveal", node("div", "mm-reveal-row", toggle, copying, said));
  el.append(panel);

  function ask(what) {
    wanted = what;
    clearTimeout(unanswered);
    unanswered = setTimeout(() => {
      wanted = undefined;
      said.textContent = NO_ANSWER;
    }, ANSWER_MS);
    try {
      model.send({ kind: "show", page });
    } catch {
      // the connection was closed: nobody will answer, which is then said
    }
  }

  function hide() {
    clearInterval(ticking);
    text.textContent = "";
    text.remove();
    toggle.textContent = "Show the key";
    said.textContent = "All of it with the key, which is not saved.";
  }

  function show({ text: secret, hidden_after_s }) {
    text.textContent = secret;
    panel.append(text);
    toggle.textContent = "Hide";
    const deadline = Date.now() + hidden_after_s * 1000;
    const tick = () => {
      const seconds = Math.round((deadline - Date.now()) / 1000);
      if (seconds > 0) said.textContent = `Hidden again in ${seconds} s, and not saved.`;
      else hide();
    };
    clearInterval(ticking);
    ticking = setInterval(tick, 1000);
    tick();
  }

  async function copyText(content) {
    let done = await copy(content.text);
    if (!panel.isConnected) return;
    if (!done) {
      if (!text.isConnected) show(content); // only what is on the page can be selected
      done = copySelected(text);
    }
    copying.textContent = done ? "Copied" : /Mac/.test(navigator.platform) ? "Press ⌘C" : "Press Ctrl+C";
    clearTimeout(copied);
    copied = setTimeout(() => (copying.textContent = "Copy"), COPIED_MS);
  }

  function receive(content) {
    if (content?.kind !== "text" || content.page !== page || !wanted) return;
    const what = wanted;
    wanted = undefined;
    clearTimeout(unanswered);
    if (what === "show") show(content);
    else copyText(content);
  }

  model.on("msg:custom", receive);
  hide();

  return () => {
    model.off("msg:custom", receive);
    clearTimeout(unanswered);
    clearTimeout(copied);
    hide();
  };
}

export default { render };
