// The vendor's helper, told where the two authorisation servers are.
module.exports = {
  ...require('vendor/spec/javascripts/helpers/node/integration'),
  API_URL: process.env.WHARF_AUTH_URL,
  API_EU_URL: process.env.WHARF_AUTH_EU_URL,
};
