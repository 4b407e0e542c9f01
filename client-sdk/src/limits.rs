//! Every bound of the client, with its unit and its reason.
