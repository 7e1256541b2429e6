// Shows the document of this server, and lets its reader send what it describes.
"use strict";

const shown = document.getElementById("document");

// The library leaves these without a name, or out of reach of the keyboard.
function complete() {
  for (const field of shown.querySelectorAll("select, textarea, input")) {
    const row = field.closest("[data-param-name]");
    if (field.id === "servers") {
      field.setAttribute("aria-label", "Server");
    } else if (row) {
      field.setAttribute("aria-label", row.dataset.paramName);
    } else if (field.closest(".body-param")) {
      field.setAttribute("aria-label", "Body");
    }
  }
  for (const button of shown.querySelectorAll(".copy-to-clipboard button")) {
    button.setAttribute("aria-label", "Copy");
  }
  for (const button of shown.querySelectorAll(".close-modal")) {
    button.setAttribute("aria-label", "Close");
  }
  for (const button of shown.querySelectorAll(".modal-btn")) {
    button.removeAttribute("aria-label"); // it says another thing than can be read on it
  }
  for (const code of shown.querySelectorAll("pre")) {
    code.tabIndex = 0;
  }
  for (const table of shown.querySelectorAll("[role=region]")) {
    table.setAttribute("aria-label", `Responses of ${table.id}`);
  }
}

if (window.SwaggerUIBundle) {
  new MutationObserver(complete).observe(shown, { childList: true, subtree: true });
  window.SwaggerUIBundle({
    dom_id: "#document",
    url: "/api/v1/openapi.json",
    // Its links would lie within the buttons that open a request.
    deepLinking: false,
    displayRequestDuration: true,
    tryItOutEnabled: true,
    // Nothing is asked of another site, and no token outlives the page.
    validatorUrl: null,
    persistAuthorization: false,
  });
} else {
  shown.textContent =
    "The library of this page is not installed here: pip install 'tradewind[docs]'";
}
