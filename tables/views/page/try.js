// Shows the document of this server, and lets its reader send what it describes.
"use strict";

if (window.SwaggerUIBundle) {
  window.SwaggerUIBundle({
    dom_id: "#document",
    url: "/api/v1/openapi.json",
    deepLinking: true,
    displayRequestDuration: true,
    tryItOutEnabled: true,
    // Nothing is asked of another site, and no token outlives the page.
    validatorUrl: null,
    persistAuthorization: false,
  });
} else {
  document.getElementById("document").textContent =
    "The library of this page is not installed here: pip install 'tradewind[docs]'";
}
