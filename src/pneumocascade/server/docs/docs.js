// Shows the description of the API that this server gives; nothing is loaded from other hosts.
const addressOf = (name) => new URL(name, document.baseURI).href;

// Swagger UI fills in a value of its own for each option of a form, and would send it.
const withoutValues = (original) => (description) => {
  for (const option of Object.values(description.components?.schemas?.UploadForm?.properties ?? {})) {
    if (option.items?.format !== 'binary') option.example = option.type === 'array' ? [] : '';
  }
  return original(description);
};

SwaggerUIBundle({
  url: addressOf('openapi.json'),
  dom_id: '#api',
  deepLinking: true,
  validatorUrl: null, // no badge, for which another host would be sent the address of this one
  defaultModelsExpandDepth: 0,
  tryItOutEnabled: true,
  plugins: [{ statePlugins: { spec: { wrapActions: { updateJsonSpec: withoutValues } } } }],
});
