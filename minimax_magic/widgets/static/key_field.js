// A password field that is empty before its content leaves: the key is in one message to the kernel,
// never in the widget's state, which may be saved with the notebook. It travels as a buffer, since the
// kernel's libraries log the JSON of every message when they log for debugging.

let fields = 0;

function render({ model, el }) {
  const input = document.createElement("input");
  input.type = "password";
  input.id = `mm-login-key-${++fields}`;
  input.className = "mm-login-input";
  input.autocomplete = "off";
  input.spellcheck = false;
  input.setAttribute("autocapitalize", "off");
  // password managers would offer to keep it
  input.setAttribute("data-1p-ignore", "");
  input.setAttribute("data-lpignore", "true");

  const label = document.createElement("label");
  label.htmlFor = input.id;
  label.className = "mm-login-label";
  label.textContent = "API key";

  const use = document.createElement("button");
  use.type = "button";
  use.className = "mm-login-action mm-login-use";
  use.textContent = "Use this key";

  function send() {
    const value = input.value.trim();
    input.value = "";
    if (value) model.send({ kind: "key" }, undefined, [new TextEncoder().encode(value)]);
    else input.focus();
  }

  use.addEventListener("click", send);
  input.addEventListener("keydown", (event) => {
    event.stopPropagation(); // not a shortcut of the notebook
    if (event.key === "Enter" && !event.isComposing) {
      event.preventDefault();
      send();
    }
  });
  // a view that goes away takes what was typed with it
  const row = document.createElement("div");
  row.className = "mm-login-key-row";
  row.append(input, use);
  el.append(label, row);
  el.setAttribute("data-lm-suppress-shortcuts", "true");
  return () => (input.value = "");
}

export default { render };
