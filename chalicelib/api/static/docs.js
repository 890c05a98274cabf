// Shows the OpenAPI document with Swagger UI, in the light or dark colours that the user prefers.
"use strict";

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

const place = document.getElementById("docs");
SwaggerUIBundle({
  domNode: place,
  url: new URL(place.dataset.document, location.href).href, // absolute: Swagger UI resolves relative addresses in the document against this URL
  validatorUrl: null, // by default, Swagger UI sends the document to validator.swagger.io, and shows a badge
  persistAuthorization: false, // the token is lost when the page is closed
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
});
