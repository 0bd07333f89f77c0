//! Event time from columns of every kind.
