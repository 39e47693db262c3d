"""Commands of ``zoo`` that are more than a call: a module each, hung onto the app in `zoo.cli`."""
