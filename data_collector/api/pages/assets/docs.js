"use strict";

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  // The badge would send the address of this page to a validator on the Internet.
  validatorUrl: null,
});
