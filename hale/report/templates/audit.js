// The table of results: drawn from the JSON as rows are needed, filtered, sorted, opened. What is
// chosen stands in the address behind `#?`; `#host/requirement/aspect` opens one row. Texts become
// text nodes, never markup.
(() => {
'use strict';
const BATCH = 100; // rows that are drawn at a time
const PRINTED = 2000; // rows that are put on paper at most
const FOLDED = new Set(['PASS', 'N-A']); // not among the rows on paper
const OUTCOMES = {passed: 'PASS', failed: 'FAIL', error: 'UNKNOWN', xfailed: 'WAIVED',
  skipped: 'N-A', xpassed: 'XPASS', rerun: 'RERUN'};
const data = JSON.parse(document.getElementById('data').textContent);
const {texts, requirements} = data;
const at = Object.fromEntries(data.fields.map((name, number) => [name, number]));
const byId = (id) => document.getElementById(id);
const table = byId('results-table');
const form = byId('filters');

// --- rows ---

// A row of a requirement and a site's own check have the same shape.
const rows = [
  ...data.rows.map((row, order) => {
    const requirement = requirements[row[at.requirement]];
    const verdict = data.verdicts[row[at.verdict]];
    const address = [row[at.host], requirement.id, row[at.aspect]].map(n => texts[n]).join('/');
    return {order, row, requirement, verdict, sign: verdict.sign, label: verdict.name, address};
  }),
  ...data.siteChecks.map((check, order) => {
    const outcome = texts[check[0]];
    const label = OUTCOMES[outcome] ?? outcome.toUpperCase();
    return {order: data.rows.length + order, check, outcome, sign: '', label, address: ''};
  })];
const field = (one, name) => one.row[at[name]] ?? 0;
const cell = {
  verdict: one => one.order,
  severity: one => one.row ? one.requirement.severityOrder : 9,
  host: one => one.row ? texts[field(one, 'host')] : '',
  chapter: one => one.row ? one.requirement.order : 999,
  requirement: one => texts[one.row ? one.requirement.id : one.check[1]],
  aspect: one => one.row ? texts[field(one, 'aspect')] : '',
  expected: one => one.row ? texts[field(one, 'expected')] : '',
  actual: one => texts[one.row ? field(one, 'actual') : one.check[2]],
};

function element(tag, text, name) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  return made;
}
function into(parent, ...children) {
  parent.append(...children);
  return parent;
}

function summary(one) {
  const line = element('tr', undefined, 'summary');
  const put = (name, ...children) => into(line, into(element('td', undefined, `col-${name}`), ...children));
  const button = element('button', `${one.sign} ${one.label}`.trim(), one.label);
  button.type = 'button';
  button.setAttribute('aria-expanded', 'false');
  put('verdict', button);
  if (one.row && field(one, 'reboot_proven')) {
    const mark = element('abbr', '↻', 'proven');
    mark.title = 'proven by a reboot';
    into(line.firstChild, ' ', mark);
  }
  const severity = one.row ? texts[one.requirement.severity] : '';
  put('severity', element('span', severity));
  put('host', cell.host(one));
  put('chapter', one.row ? one.requirement.chapter : '');
  const name = put('requirement', element('b', cell.requirement(one)));
  const title = one.row ? texts[one.requirement.title] : "the site's own check";
  into(name.lastChild, element('small', title));
  if (one.row && (field(one, 'overrides') || []).length) into(name.lastChild, element('em', 'override'));
  put('aspect', cell.aspect(one));
  put('expected', cell.expected(one));
  put('actual', cell.actual(one));
  return line;
}

function definitions(pairs) {
  const list = element('dl');
  for (const [name, text] of pairs) into(list, element('dt', name), element('dd', text));
  return list;
}

function detail(one) {
  const box = element('div', undefined, 'detail');
  const head = (text) => into(box, element('h3', text));
  if (one.check) {
    const [, test, , text, output, properties, milliseconds] = one.check;
    if (text) into(head('Failure'), element('pre', texts[text]));
    if (output) into(head('Output'), element('pre', texts[output]));
    for (const property of properties) into(box, element('p', texts[property]));
    return into(box, element('p', `${texts[test]}, ${milliseconds} ms`, 'test'));
  }
  into(box, definitions([['expected', cell.expected(one)], ['actual', cell.actual(one)]]));
  const waiver = field(one, 'waiver');
  if (waiver) {
    head('Waiver');
    into(box, definitions(data.waiverFields.map((name, n) => [name, texts[waiver[n]]])));
  }
  const settings = field(one, 'settings') || [];
  if (settings.length) {
    head('Lines that bear on it');
    const lines = element('table', undefined, 'list');
    for (const number of settings) {
      const [path, line, text, wins, note] = data.settings[number];
      const place = line ? `${texts[path]}:${line}` : texts[path];
      into(lines, into(element('tr', undefined, wins ? 'wins' : 'loses'),
        element('th', wins ? '► wins' : 'loses'),
        into(element('td'), element('code', place)),
        into(element('td'), element('pre', texts[text])), element('td', texts[note])));
    }
    into(box, lines);
  }
  const overrides = field(one, 'overrides') || [];
  if (overrides.length) {
    head('Overrides of the baseline');
    into(box, into(element('ul'), ...overrides.map(number => element('li', texts[number]))));
  }
  const evidence = field(one, 'evidence') || [];
  if (evidence.length) head('What was read');
  for (const number of evidence) {
    const [probe, status, output, time] = data.evidence[number];
    const line = into(element('p', undefined, 'probe'), element('code', texts[probe]));
    if (status !== null) into(line, ' ', element('span', `exit status ${status}`, status ? 'status nonzero' : 'status'));
    into(line, ' ', element('small', texts[time]));
    into(box, line, element('pre', texts[output] || '(empty)'));
  }
  const {references} = one.requirement;
  if (references.length) {
    head('Other benchmarks');
    into(box, into(element('ul'), ...references.map(number => element('li', texts[number]))));
  }
  const log = field(one, 'log');
  if (log) into(head('Output of pytest'), element('pre', texts[log]));
  const test = field(one, 'test') ? texts[field(one, 'test')]
    : `checks/test_${texts[one.requirement.subject]}.py::test_${cell.aspect(one)}[${cell.host(one)}-${cell.requirement(one)}]`;
  return into(box, element('p',
    `${test}, ${field(one, 'milliseconds')} ms, profile ${texts[one.requirement.profile]}`, 'test'));
}

// --- the window of drawn rows ---

let visible = rows; // those that the filters leave, in order
let first = 0; // of those that are drawn
let after = 0;
const opened = new Set();

function draw(one) {
  const body = element('tbody');
  body.one = one;
  if (one.address) body.id = one.address;
  body.dataset.verdict = one.label;
  into(body, summary(one));
  if (opened.has(one)) toggle(body, true);
  return body;
}

function toggle(body, show) {
  const line = body.querySelector('.extra');
  if (show && !line) {
    const wide = element('td');
    wide.colSpan = Object.keys(cell).length;
    into(body, into(element('tr', undefined, 'extra'), into(wide, detail(body.one))));
  } else if (!show && line) {
    line.remove();
  }
  body.classList.toggle('open', show);
  body.querySelector('button').setAttribute('aria-expanded', String(show));
  opened[show ? 'add' : 'delete'](body.one);
}

function drawWindow(from, to) {
  first = Math.max(0, from);
  after = Math.min(visible.length, to);
  [...table.tBodies].forEach(body => body.remove());
  table.append(...visible.slice(first, after).map(draw));
  ends();
}

function more(forwards) {
  if (forwards) {
    const upTo = Math.min(visible.length, after + BATCH);
    table.append(...visible.slice(after, upTo).map(draw));
    after = upTo;
  } else {
    const from = Math.max(0, first - BATCH);
    table.tHead.after(...visible.slice(from, first).map(draw));
    first = from;
  }
  ends();
}

function ends() {
  byId('earlier').classList.toggle('hidden', first === 0);
  byId('later').classList.toggle('hidden', after === visible.length);
  byId('later').textContent = `Show more of the remaining ${visible.length - after} results`;
  byId('nothing').classList.toggle('hidden', visible.length > 0);
  byId('count').textContent = `${visible.length} of ${rows.length} results`;
}

// --- filters, and the address ---

let sorting = {column: '', descending: false};
const chosen = (name) => new Set([...form.elements[name]?.length === undefined
  ? [form.elements[name]].filter(Boolean) : form.elements[name]].filter(box => box.checked).map(box => box.value));

// Which texts have the word: each is looked through once, however many rows have it.
let lowered;
const found = new Map();
function having(word) {
  lowered ??= texts.map(text => text.toLowerCase());
  if (!found.has(word)) {
    if (found.size > 50) found.clear();
    found.set(word, Uint8Array.from(lowered, text => text.includes(word)));
  }
  return found.get(word);
}

function searched(one) {
  if (one.check) return one.check.slice(1, 5);
  const {id, title, severity, references} = one.requirement;
  return [id, title, severity, ...references, field(one, 'host'), field(one, 'aspect'), field(one, 'expected'),
    field(one, 'actual')];
}

function apply() {
  const verdicts = chosen('verdict');
  const severities = chosen('severity');
  const host = form.elements.host.value.trim().toLowerCase();
  const hosts = host && having(host);
  const chapter = form.elements.chapter.value;
  const words = form.elements.q.value.toLowerCase().split(/\s+/).filter(Boolean).map(having);
  visible = rows.filter(one =>
    (!verdicts.size || verdicts.has(one.label))
    && (!severities.size || (one.row && severities.has(texts[one.requirement.severity])))
    && (!hosts || (one.row && hosts[field(one, 'host')]))
    && (!chapter || (one.row && one.requirement.chapter === chapter))
    && words.every(word => searched(one).some(number => word[number])));
  if (sorting.column) {
    const key = cell[sorting.column];
    const order = sorting.descending ? -1 : 1;
    const keyed = visible.map(one => [key(one), one]);
    keyed.sort(([a], [b]) => (a < b ? -order : a > b ? order : 0));
    visible = keyed.map(([, one]) => one);
  }
  for (const head of table.tHead.querySelectorAll('button')) {
    const mine = head.dataset.column === sorting.column;
    const direction = sorting.descending ? 'descending' : 'ascending';
    head.parentElement.setAttribute('aria-sort', mine ? direction : 'none');
  }
  drawWindow(0, BATCH);
}

// `row`: the address of one that is open.
function remember(row = '') {
  const words = new URLSearchParams();
  for (const name of ['verdict', 'severity']) {
    if (chosen(name).size) words.set(name, [...chosen(name)].join(','));
  }
  for (const name of ['host', 'chapter', 'q']) {
    if (form.elements[name].value) words.set(name, form.elements[name].value);
  }
  if (sorting.column) words.set('sort', (sorting.descending ? '-' : '') + sorting.column);
  const plain = !words.size;
  if (row && !plain) words.set('row', row);
  const hash = plain ? row && `#${encodeURI(row)}` : `#?${words}`;
  history.replaceState(null, '', hash || '#');
}

function restore() {
  const hash = location.hash;
  if (!hash.startsWith('#?')) {
    let address = hash.slice(1);
    try { address = decodeURIComponent(address); } catch { /* a stray percent sign */ }
    return reveal(address);
  }
  const words = new URLSearchParams(hash.slice(2));
  form.reset();
  for (const name of ['verdict', 'severity']) {
    const wanted = (words.get(name) ?? '').split(',');
    for (const box of form.querySelectorAll(`[name=${name}]`)) box.checked = wanted.includes(box.value);
  }
  for (const name of ['host', 'chapter', 'q']) form.elements[name].value = words.get(name) ?? '';
  const sort = words.get('sort') ?? '';
  const column = sort.replace('-', '');
  sorting = {column: Object.hasOwn(cell, column) ? column : '', descending: sort.startsWith('-')};
  apply();
  if (words.get('row')) reveal(words.get('row'));
  else byId('results').scrollIntoView();
}

// A link of the matrix opens its row, also one that the filters hide.
function reveal(address) {
  const one = address && rows.find(each => each.address === address);
  if (!one) return;
  if (!visible.includes(one)) clear();
  opened.add(one);
  const place = visible.indexOf(one);
  if (place < first || place >= after) drawWindow(place - 10, place + BATCH);
  const body = byId(address);
  toggle(body, true);
  table.querySelector('.target')?.classList.remove('target');
  body.classList.add('target');
  remember(address);
  body.scrollIntoView({block: 'start'});
  body.querySelector('button').focus({preventScroll: true});
}

// --- what people do ---

form.addEventListener('input', () => { apply(); remember(); });
form.addEventListener('submit', event => event.preventDefault());
function clear() {
  form.reset();
  sorting = {column: '', descending: false};
  apply();
}
byId('clear').addEventListener('click', () => { clear(); remember(); });
table.addEventListener('click', ({target}) => {
  const column = target.closest('[data-column]')?.dataset.column;
  if (column) {
    sorting = {column, descending: sorting.column === column && !sorting.descending};
    apply();
    remember();
    return;
  }
  const line = target.closest('.summary');
  if (!line || String(getSelection())) return;
  const body = line.parentElement;
  toggle(body, !body.classList.contains('open'));
  remember(body.classList.contains('open') ? body.id : '');
});
const all = (show) => [...table.tBodies].forEach(body => toggle(body, show));
byId('expand').addEventListener('click', () => all(true));
byId('collapse').addEventListener('click', () => all(false));
byId('earlier').addEventListener('click', () => more(false));
byId('later').addEventListener('click', () => more(true));
new IntersectionObserver(seen => {
  if (seen.some(each => each.isIntersecting) && after < visible.length) more(true);
}, {rootMargin: '600px'}).observe(byId('later'));
document.addEventListener('keydown', event => {
  const typing = event.target.closest?.('input, select, textarea');
  if (event.key === '/' && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    form.elements.q.focus();
  }
});
addEventListener('hashchange', restore);

// On paper: the rows that did not pass, those open that a reader has opened, and nothing folded
// away; the causes have the evidence.
let before;
addEventListener('beforeprint', () => {
  before = {visible, first, after};
  visible = visible.filter(one => !FOLDED.has(one.label) || opened.has(one));
  drawWindow(0, PRINTED);
  document.querySelectorAll('details').forEach(each => {
    each.dataset.closed = String(!each.open);
    each.open = true;
  });
});
addEventListener('afterprint', () => {
  if (!before) return;
  visible = before.visible;
  drawWindow(before.first, before.after);
  before = undefined;
  document.querySelectorAll('details[data-closed=true]').forEach(each => { each.open = false; });
});

form.classList.remove('hidden');
byId('rows').classList.remove('hidden');
apply();
restore();
})();
