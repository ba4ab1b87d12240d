"use strict";
// Lets node find one name at an address, as /etc/hosts would: JUDGED=name=address.
const dns = require("node:dns");
const [name, address] = process.env.JUDGED.split("=");
const lookup = dns.lookup;
dns.lookup = (host, options, callback = options) => {
  if (host !== name) {
    lookup(host, options, callback);
  } else if (options.all) {
    callback(null, [{ address, family: 4 }]);
  } else {
    callback(null, address, 4);
  }
};
