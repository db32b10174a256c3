// The vendor's `index.node.js` with one difference: only the plain WebSocket configuration, since
// the gateway under test listens without TLS.
const configurations = [{ transport: 'ws', forceTLS: false }];

for (const spec of [
  require('vendor/spec/javascripts/integration/core/pusher_spec'),
  require('vendor/spec/javascripts/integration/core/cluster_config_spec'),
  require('vendor/spec/javascripts/integration/core/falling_back_spec'),
  require('vendor/spec/javascripts/integration/core/transport_lists_spec'),
  require('vendor/spec/javascripts/integration/core/timeout_configuration_spec'),
]) {
  spec(configurations);
}
