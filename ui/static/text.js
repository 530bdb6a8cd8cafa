// The strings of the page. A key names a sentence of STRINGS; {name} in it is replaced by a value.

const LANGUAGES = {en: "English", zh: "中文"};
let STRINGS = {en: {}, zh: {}};
/** By language: [pattern, translation] of the sentences that come from the server. */
let SENTENCES = {};
let language = "en";

/** Choose the language: the one the visitor chose before, or the first of the browser's that the page has. */
function chooseLanguage(strings, sentences) {
  STRINGS = strings;
  for (const [name, table] of Object.entries(sentences)) SENTENCES[name] = Object.entries(table).map(sentencePattern);
  const wanted = [localStorage.getItem("fantasyportrait-language"), ...(navigator.languages || [])];
  language = wanted.map(name => (name || "").slice(0, 2)).find(name => name in STRINGS) || "en";
  document.documentElement.lang = language;
}

function setLanguage(name) {
  language = name;
  localStorage.setItem("fantasyportrait-language", name);
  document.documentElement.lang = name;
}

/** The string of a key in the visitor's language, in English where it is missing. */
function t(key, values = {}) {
  const text = STRINGS[language]?.[key] ?? STRINGS.en?.[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
}

/** A template with {names} as a pattern whose groups are the values, beside its translation. */
function sentencePattern([template, translation]) {
  const text = template.replace(/[.*+?^$()|[\]\\]/g, "\\$&").replace(/\{(\w+)\}/g, "(?<$1>.*?)");
  return [new RegExp(`^${text}$`, "s"), translation];
}

/** A sentence of the server in the visitor's language; in English, as it came, where no template fits. */
function sentence(text) {
  for (const [pattern, translation] of SENTENCES[language] || []) {
    const found = pattern.exec(text || "");
    if (found) return translation.replace(/\{(\w+)\}/g, (whole, name) => found.groups?.[name] ?? whole);
  }
  return text;
}
