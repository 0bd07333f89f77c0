//! The nearest rows in time, against a model that looks at every row of the table.
