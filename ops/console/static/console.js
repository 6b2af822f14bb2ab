// Says so when what a page shows is no longer live. Everything else is HTML and htmx.
"use strict";

document.addEventListener("htmx:afterRequest", (event) => {
  const notice = document.getElementById("stale");
  if (notice) {
    notice.hidden = event.detail.successful === true;
  }
});
