// The class that the specs build, told where the gateway is.
const Vendor = require('vendor/spec/javascripts/helpers/pusher_integration');

module.exports = class extends Vendor {
  constructor(key, options) {
    super(key, { ...options, wsHost: '127.0.0.1', wsPort: Number(process.env.WHARF_PORT) });
  }
};
