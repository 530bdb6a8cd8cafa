// The strings of the page, which gradio brings with it (gr.I18n). {name} in a string is replaced by a value.

const LANGUAGES = {en: "English", zh: "中文"};
/** By language: strings by their keys, and the server's sentences by "sentence:" and their templates in English. */
let TRANSLATIONS = {en: {}};
let language = "en";

/** Choose the language: the one the visitor chose before, or the first of the browser's that the page has. */
function chooseLanguage(translations) {
  TRANSLATIONS = translations;
  const wanted = [localStorage.getItem("fantasyportrait-language"), ...(navigator.languages || [])];
  language = wanted.map(name => (name || "").slice(0, 2)).find(name => name in TRANSLATIONS) || "en";
  document.documentElement.lang = language;
}

function setLanguage(name) {
  language = name;
  localStorage.setItem("fantasyportrait-language", name);
  document.documentElement.lang = name;
}

/** The string of a key in the visitor's language, in English where it is missing. */
function t(key, values = {}) {
  const text = TRANSLATIONS[language][key] ?? TRANSLATIONS.en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
}

/** What the server says, a text or {key, values}, in the visitor's language; in English where the key has no translation. */
function sentence(said) {
  const {key, values = {}} = typeof said === "string" ? {key: said} : said;
  const template = TRANSLATIONS[language][`sentence:${key}`] ?? key;
  return template.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? sentence(values[name]) : whole));
}
