//! First start: root, certificates, first invitation.
