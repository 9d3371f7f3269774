// What was read stands in the page once; each row has a place for it, filled when the row is made.
new MutationObserver(() => {
  for (const place of document.querySelectorAll('[data-reading]')) {
    place.append(document.getElementById(place.dataset.reading).content.cloneNode(true));
    place.removeAttribute('data-reading');
  }
}).observe(document.body, {childList: true, subtree: true});
