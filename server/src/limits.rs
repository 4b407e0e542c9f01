//! Every bound of the hub, with its unit and its reason.
