(page) => {
  // The choice of the switch is kept in the browser; an address that names a language goes before it.
  const address = new URL(location.href);
  const key = 'pneumocascade-language';
  const kept = () => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;  // a browser that keeps nothing
    }
  };
  const go = (language) => {
    address.searchParams.set('lang', language);
    location.replace(address);
  };
  const asked = address.searchParams.get('lang');
  const choice = kept();
  if (!page.known.includes(asked) && page.known.includes(choice) && choice !== page.language) go(choice);

  // Gradio follows the language that the browser names, and can be told no other.
  for (const [name, value] of [['language', page.tag], ['languages', [page.tag]]]) {
    Object.defineProperty(navigator, name, {get: () => value, configurable: true});
  }

  window.pneumocascade = {
    /** Return a message in the page's language; `%(name)s` stands for a value. */
    gettext(message, values = {}) {
      const text = page.messages[message] ?? message;
      return text.replace(/%\((\w+)\)s/g, (whole, name) => values[name] ?? whole);
    },

    /** Load the page in another language, at the tab and with the settings that it has now. */
    speak(language) {
      try {
        localStorage.setItem(key, language);
      } catch {
        // The address names it all the same.
      }
      const here = new URL(location.href);
      here.searchParams.set('lang', language);
      location.assign(here);
    },
  };
}
