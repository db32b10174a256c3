// Builds pusher-js's own integration specs, unchanged, for a gateway on this machine. Run with the
// copied package as the working folder: its own configuration reads files relative to that.
const path = require('node:path');
const { mergeWithRules } = require('webpack-merge');
const vendor = require(path.resolve('spec/config/jasmine/webpack.integration.js'));

const glue = name => path.join(__dirname, name);
const merge = mergeWithRules({
  module: { rules: { loader: 'match', options: 'replace' } },
  entry: 'replace',
});

module.exports = merge(vendor, {
  entry: { pusher: glue('entry.cjs') },
  // The specs are typed for the vendor's build; here only the JavaScript is wanted.
  module: { rules: [{ loader: 'ts-loader', options: { transpileOnly: true } }] },
  performance: { hints: false },
  ignoreWarnings: [() => true],
  resolve: {
    modules: [path.resolve('src'), path.resolve('src/runtimes'), path.resolve('node_modules')],
    alias: {
      vendor: process.cwd(),
      pusher_integration: glue('pusher_integration.cjs'),
      integration: glue('integration.cjs'),
    },
  },
});
