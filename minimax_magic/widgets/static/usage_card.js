// The usage panel. Python sends words and shares, this draws them.
//
// Nothing of it is in the widget's state. On render, and when the connection to the kernel changes,
// the panel says {kind: "ready"}; Python answers with {kind: "show", ...}, and sends the same whenever
// something changes, up to four times a second: so everything is made once and then only changed,
// which keeps focus, selection and tooltips. Text only ever becomes text, never markup.

const ANSWER_MS = 4000;
const SVG = "http://www.w3.org/2000/svg";
const PLOT = { height: 44, room: 3 }; // px, and the part of a bar's place that stays free, in percent
const UNITS = [[86400, "d"], [3600, "h"], [60, "min"]];

let panels = 0;

function node(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function set(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

// A sentence; what stands in `backticks` is a command or a name.
function tell(element, text) {
  if (element.dataset.text === text) return;
  element.dataset.text = text;
  const parts = text.split(/`([^`]+)`/);
  element.replaceChildren(...parts.map((part, i) => (i % 2 ? node("code", "", part) : part)));
}

// Shows a list in `parent`: makes and removes rows only where their number changes.
function rows(parent, make) {
  const made = [];
  return (items) => {
    while (made.length > items.length) made.pop().element.remove();
    while (made.length < items.length) {
      const row = make(made.length);
      made.push(row);
      parent.append(row.element);
    }
    parent.hidden = !items.length;
    items.forEach((item, i) => made[i].update(item));
  };
}

function lines(className) {
  const element = node("div", className);
  const update = rows(element, () => {
    const line = node("p", "");
    return { element: line, update: (text) => tell(line, text) };
  });
  return { element, update };
}

// What is left of a time, in two units; as `span_words` in Python says it.
export function span(seconds) {
  if (seconds < 60) return "less than a minute";
  const [[size, unit], finer] = UNITS.filter(([size]) => seconds >= size);
  const smaller = finer ? Math.floor((seconds % size) / finer[0]) : 0;
  const whole = `${Math.floor(seconds / size)} ${unit}`;
  return smaller ? `${whole} ${smaller} ${finer[1]}` : whole;
}

// ------------------------------------------------------------------------------------- the sums

function scopes(id) {
  const list = node("div", "mm-usage-scopes");
  list.setAttribute("role", "tablist");
  list.setAttribute("aria-label", "Sums of");
  const bar = node("div", "mm-usage-bar mm-usage-parts");
  bar.setAttribute("aria-hidden", "true"); // the legend says the same
  const legend = node("dl", "mm-usage-legend");
  const counts = node("p", "mm-usage-quiet mm-usage-counts");
  const notes = lines("mm-usage-notes");
  const detail = node("div", "mm-usage-detail", bar, legend, counts, notes.element);
  detail.id = `${id}-detail`;
  detail.setAttribute("role", "tabpanel");
  const element = node("div", "mm-usage-sums", list, detail);

  let shown = [];
  let chosen = null; // the name that a person picked; until then the narrowest sums that are not 0

  const tabs = [];
  const drawTabs = rows(list, (place) => {
    const name = node("span", "mm-usage-name");
    const sum = node("span", "");
    const unpriced = node("span", "mm-usage-unpriced");
    const cost = node("span", "mm-usage-cost", sum, unpriced);
    const tokens = node("span", "mm-usage-tokens");
    const drawTokens = rows(tokens, () => {
      const count = node("span", "mm-usage-count");
      const what = node("span", "mm-usage-what");
      const line = node("span", "mm-usage-token", count, what);
      return {
        element: line,
        update([number, word]) {
          say(count, number);
          say(what, ` ${word}`); // the space is for those who hear it
          line.classList.toggle("mm-usage-none", number === "0");
        },
      };
    });
    const tab = node("button", "mm-usage-scope", name, cost, tokens);
    tab.type = "button";
    tab.id = `${id}-tab-${place}`;
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", detail.id);
    tab.addEventListener("click", () => choose(place));
    tabs[place] = tab;
    return {
      element: tab,
      update(scope) {
        say(name, scope.name);
        say(sum, scope.cost);
        say(unpriced, scope.unpriced);
        cost.classList.toggle("mm-usage-unknown", !scope.known);
        cost.classList.toggle("mm-usage-none", scope.cost === "$0");
        drawTokens(scope.tokens);
      },
    };
  });
  list.addEventListener("keydown", (event) => {
    const to = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const ends = { Home: 0, End: shown.length - 1 }[event.key];
    if (to === undefined && ends === undefined) return;
    event.preventDefault();
    event.stopPropagation(); // the notebook would go to another cell
    choose(ends ?? (current() + to + shown.length) % shown.length);
    tabs[current()].focus();
  });

  const drawBar = rows(bar, () => {
    const part = node("i", "");
    return {
      element: part,
      update({ kind, share }) {
        part.dataset.kind = kind;
        part.style.flexGrow = share;
        part.hidden = !share;
      },
    };
  });
  const drawLegend = rows(legend, () => {
    const name = node("dt", "");
    const count = node("dd", "");
    const entry = node("div", "mm-usage-entry", name, count);
    return {
      element: entry,
      update(part) {
        entry.dataset.kind = part.kind;
        say(name, part.name);
        say(count, part.tokens);
        entry.classList.toggle("mm-usage-none", part.tokens === "0");
      },
    };
  });

  function current() {
    const picked = shown.findIndex((scope) => scope.name === chosen);
    if (picked >= 0) return picked;
    return Math.max(0, shown.findIndex((scope) => scope.used));
  }

  function choose(place) {
    chosen = shown[place].name;
    draw();
  }

  function draw() {
    drawTabs(shown);
    if (!shown.length) return;
    const place = current();
    tabs.slice(0, shown.length).forEach((tab, i) => {
      set(tab, "aria-selected", String(i === place));
      tab.tabIndex = i === place ? 0 : -1;
    });
    set(detail, "aria-labelledby", tabs[place].id);
    const scope = shown[place];
    drawBar(scope.parts);
    drawLegend(scope.parts);
    say(counts, scope.counts.join(" · "));
    notes.update(scope.notes);
  }

  return {
    element,
    update(content) {
      shown = content;
      element.hidden = !shown.length;
      draw();
    },
  };
}

// ----------------------------------------------------------------------- what is left of what

// A name, a figure, a bar for a share and a line below it.
function meter() {
  const name = node("span", "mm-usage-name");
  const chip = node("span", "mm-usage-chip");
  const figure = node("span", "mm-usage-figure");
  const fill = node("i", "");
  const more = node("i", "mm-usage-reserved");
  const bar = node("div", "mm-usage-bar", fill, more);
  bar.setAttribute("role", "meter");
  bar.setAttribute("aria-valuemin", "0");
  bar.setAttribute("aria-valuemax", "100");
  const text = node("span", "");
  const below = node("div", "mm-usage-line mm-usage-quiet", text, chip);
  const element = node(
    "div",
    "mm-usage-meter",
    node("div", "mm-usage-line", name, figure),
    bar,
    below,
  );
  return {
    element,
    update({ title, extra = "", words, share, reserved = 0, level, rest }) {
      say(name, title);
      say(chip, extra);
      set(chip, "title", extra && `${extra} the usual allowance`);
      chip.hidden = !extra;
      say(figure, words);
      element.dataset.level = level;
      bar.hidden = share === null;
      if (share !== null) {
        fill.style.width = `${100 * share}%`;
        more.style.width = `${100 * Math.min(reserved, 1 - share)}%`;
        set(bar, "aria-valuenow", String(Math.round(100 * share)));
        set(bar, "aria-valuetext", words);
        set(bar, "aria-label", title);
      }
      say(text, rest);
      below.hidden = !rest && !extra;
    },
  };
}

// Plan or balance. `tick` draws again what changes with time alone.
function account() {
  const title = node("h4", "");
  const age = node("span", "mm-usage-age");
  const figure = node("p", "mm-usage-balance");
  const meters = node("div", "mm-usage-meters");
  const drawMeters = rows(meters, meter);
  const notes = lines("mm-usage-notes");
  const element = node(
    "section",
    "mm-usage-account",
    node("div", "mm-usage-line", title, age),
    figure,
    meters,
    notes.element,
  );
  let shown = null;
  let since = 0;

  function tick() {
    if (!shown) return;
    const passed = (Date.now() - since) / 1000;
    if (shown.age) {
      const { text, seconds, stale } = shown.age;
      say(age, stale ? old(seconds + passed) : text);
      set(age, "title", stale ? text : "");
      age.classList.toggle("mm-usage-stale", stale);
    } else {
      say(age, "");
    }
    drawMeters(
      shown.windows.map((window) => ({
        title: window.name,
        extra: window.boost,
        words: window.left,
        share: window.share,
        level: window.level,
        rest: reset(window.resets_in_s, passed),
      })),
    );
  }

  return {
    element,
    tick,
    update(content) {
      shown = content;
      since = Date.now();
      element.hidden = !content;
      if (!content) return;
      say(title, content.title);
      // below the title of a plan it has to be named
      const alone = content.title === "Balance";
      tell(figure, content.balance && !alone ? `Balance: ${content.balance}` : content.balance);
      figure.classList.toggle("mm-usage-alone", alone);
      figure.hidden = !content.balance;
      notes.update(content.notes);
      tick();
    },
  };
}

function old(seconds) {
  return seconds < 60 ? "out of date" : `${span(seconds)} old`;
}

function reset(seconds, passed) {
  if (seconds === null) return "";
  const left = seconds - passed;
  return left > 0 ? `resets in ${span(left)}` : "resets now";
}

function budgets() {
  const meters = node("div", "mm-usage-meters");
  const drawMeters = rows(meters, meter);
  const element = node("section", "", node("h4", "", "Budget"), meters);
  return {
    element,
    update(content) {
      element.hidden = !content.length;
      drawMeters(
        content.map((budget) => ({
          title: budget.name,
          words: budget.figure,
          share: budget.spent,
          reserved: budget.reserved,
          level: budget.level,
          rest: budget.rest.join(" · "),
        })),
      );
    },
  };
}

// ------------------------------------------------------------------------------- the last days

function days() {
  const title = node("h4", "");
  const most = node("span", "mm-usage-most");
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "mm-usage-plot");
  svg.setAttribute("height", PLOT.height);
  svg.setAttribute("role", "img");
  const first = node("span", "");
  const last = node("span", "mm-usage-today");
  const axis = node("div", "mm-usage-line mm-usage-axis", first, last);
  axis.setAttribute("aria-hidden", "true");
  const element = node(
    "section",
    "mm-usage-days",
    node("div", "mm-usage-line", title),
    node("div", "mm-usage-chart", most, svg),
    axis,
  );
  most.setAttribute("aria-hidden", "true");
  let count = 0;
  const drawBars = rows(svg, (place) => {
    const tip = document.createElementNS(SVG, "title");
    const bar = document.createElementNS(SVG, "rect");
    const field = document.createElementNS(SVG, "rect"); // the whole height answers the pointer
    const group = document.createElementNS(SVG, "g");
    group.append(tip, field, bar);
    field.setAttribute("class", "mm-usage-place");
    return {
      element: group,
      update({ day, cost, share }) {
        const width = 100 / count;
        const height = Math.max(share * PLOT.height, 1);
        set(field, "x", `${place * width}%`);
        set(field, "width", `${width}%`);
        set(field, "height", "100%");
        set(bar, "x", `${(place + PLOT.room / 20) * width}%`);
        set(bar, "width", `${(1 - PLOT.room / 10) * width}%`);
        set(bar, "y", String(PLOT.height - height));
        set(bar, "height", String(height));
        set(bar, "rx", "1");
        say(tip, `${day}: ${cost}`);
        set(group, "class", place === count - 1 ? "mm-usage-now" : share ? "" : "mm-usage-none");
      },
    };
  });
  return {
    element,
    update(content) {
      element.hidden = !content;
      if (!content) return;
      count = content.bars.length;
      say(title, content.title);
      set(svg, "aria-label", content.label);
      drawBars(content.bars);
      say(first, content.bars[0].day);
      say(last, `today ${content.bars[count - 1].cost}`);
      say(most, content.bars[content.highest].cost);
      // over its bar, but never out of the panel
      const middle = (content.highest + 0.5) / count;
      most.style.left = `${100 * middle}%`;
      most.style.transform = `translateX(${-100 * middle}%)`;
    },
  };
}

// ------------------------------------------------------------------------------------ the panel

function render({ model, el }) {
  panels += 1;
  const id = `mm-usage-${panels}`;
  const badge = node("span", "mm-usage-badge");
  const dot = node("span", "mm-usage-dot");
  const speed = node("span", "");
  const state = node("span", "mm-usage-state", dot, speed);
  const refresh = node("button", "mm-usage-refresh", node("span", "", "↻"));
  refresh.type = "button";
  refresh.title = "Ask again what is left of the plan or the balance";
  refresh.setAttribute("aria-label", refresh.title);
  const heading = node("h3", "", "Usage");
  const lost = node("p", "mm-usage-lost-note");
  lost.setAttribute("role", "status");
  const problem = node("p", "mm-usage-problem");
  problem.setAttribute("role", "alert");
  const empty = node("p", "mm-usage-empty");
  const parts = { scopes: scopes(id), account: account(), budgets: budgets(), days: days() };
  const body = node("div", "mm-usage-body", problem, empty);
  body.append(...Object.values(parts).map((part) => part.element));
  const card = node(
    "div",
    "mm-usage",
    node("header", "", heading, badge, state, refresh),
    lost,
    body,
  );
  card.setAttribute("role", "group");
  card.setAttribute("aria-label", "Usage of MiniMax");
  el.append(node("div", "mm-usage-frame", card));

  let unanswered;
  let shownAt = null;

  function show(content) {
    shownAt = new Date();
    setLost(false);
    say(badge, content.badge);
    badge.title = content.badge_title;
    badge.hidden = !content.badge;
    say(speed, content.state.text);
    set(state, "title", content.state.title);
    state.hidden = !content.state.text;
    card.classList.toggle("mm-usage-live", content.state.live);
    tell(problem, content.problem);
    problem.hidden = !content.problem;
    tell(empty, content.empty);
    empty.hidden = !content.empty;
    for (const [name, part] of Object.entries(parts)) part.update(content[name]);
  }

  function setLost(isLost) {
    card.classList.toggle("mm-usage-lost", isLost);
    refresh.disabled = isLost;
    lost.hidden = !isLost;
    if (!isLost) return say(lost, "");
    const time = shownAt?.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    const from = time ? `These figures are from ${time} and are no longer updated` : "No figures";
    tell(
      lost,
      `${from}: the kernel does not answer. Wait if it is busy; if it was restarted, ` +
        "run `%minimax usage` again.",
    );
  }

  function send(content) {
    try {
      model.send(content);
    } catch {
      // the connection was closed: nobody will answer, which is then said
    }
  }

  function ask() {
    clearTimeout(unanswered);
    unanswered = setTimeout(() => setLost(true), ANSWER_MS);
    send({ kind: "ready" });
  }

  function receive(content) {
    if (content?.kind !== "show") return;
    clearTimeout(unanswered);
    show(content);
  }

  refresh.addEventListener("click", () => {
    refresh.classList.remove("mm-usage-turning");
    void refresh.offsetWidth; // so that the turn begins anew
    refresh.classList.add("mm-usage-turning");
    send({ kind: "refresh" });
  });
  model.on("msg:custom", receive);
  model.on("comm_live_update", ask);
  const ticking = setInterval(parts.account.tick, 1000);
  lost.hidden = true;
  for (const element of [badge, state, problem, empty]) element.hidden = true;
  for (const part of Object.values(parts)) part.element.hidden = true;
  ask();

  return () => {
    model.off("msg:custom", receive);
    model.off("comm_live_update", ask);
    clearTimeout(unanswered);
    clearInterval(ticking);
  };
}

export default { render };
