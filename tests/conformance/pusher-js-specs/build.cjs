// Runs the build of webpack.config.cjs without webpack's command line, which is a package of its own.
const webpack = require('webpack');

webpack(require('./webpack.config.cjs'), (error, stats) => {
  if (error ?? stats.hasErrors()) {
    console.error(error ?? stats.toString({ all: false, errors: true }));
    process.exitCode = 1;
  }
});
