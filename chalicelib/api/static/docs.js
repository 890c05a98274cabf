// Shows the OpenAPI document with Swagger UI, and follows the reader's choice of light or dark.
"use strict";

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

const place = document.getElementById("docs");
SwaggerUIBundle({
  domNode: place,
  url: new URL(place.dataset.document, location.href).href, // what the document's own relative addresses start from
  validatorUrl: null, // else the document is sent to validator.swagger.io, for a badge
  persistAuthorization: false, // a token stays in this page and goes with it
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
});
