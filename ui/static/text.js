// The strings of the page. A key names a sentence of STRINGS; {name} in it is replaced by a value.

const LANGUAGES = {en: "English", zh: "中文"};
let STRINGS = {en: {}, zh: {}};
/** By language: the translation of each sentence that comes from the server, by its key, the template in English. */
let SENTENCES = {};
let language = "en";

/** Choose the language: the one the visitor chose before, or the first of the browser's that the page has. */
function chooseLanguage(strings, sentences) {
  STRINGS = strings;
  SENTENCES = sentences;
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

/** What the server says, a text or {key, values}, in the visitor's language; in English where the key has no translation. */
function sentence(said) {
  const {key, values = {}} = typeof said === "string" ? {key: said} : said;
  const template = SENTENCES[language]?.[key] ?? key;
  return template.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? sentence(values[name]) : whole));
}
