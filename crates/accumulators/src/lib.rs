//! The accumulators: numbers that summarise many rows, for all groups of a stage at once. One file per component.

mod all;
mod any;
mod arg_max;
mod arg_min;
mod correlation;
mod count;
mod count_distinct;
mod covariance;
mod crest_factor;
mod exact;
mod first;
mod histogram;
mod integral;
mod intercept;
mod kurtosis;
mod last;
#[cfg(test)]
mod laws;
mod max;
mod mean;
mod median;
mod min;
mod mode;
mod periodogram;
mod quantile;
mod quantiles;
mod range;
mod rms;
mod skewness;
mod slope;
mod spectrum;
mod states;
mod std;
mod sum;
mod tallies;
mod top_values;
mod variance;
mod weighted_mean;
mod welch;
mod zero_crossings;

use dataflow_core::component::Component;

/// Every accumulator, by name.
pub fn list() -> Vec<Component> {
    vec![
        all::component(),
        any::component(),
        arg_max::component(),
        arg_min::component(),
        correlation::component(),
        count::component(),
        count_distinct::component(),
        covariance::component(),
        crest_factor::component(),
        first::component(),
        histogram::component(),
        integral::component(),
        intercept::component(),
        kurtosis::component(),
        last::component(),
        max::component(),
        mean::component(),
        median::component(),
        min::component(),
        mode::component(),
        periodogram::component(),
        quantile::component(),
        quantiles::component(),
        range::component(),
        rms::component(),
        skewness::component(),
        slope::component(),
        spectrum::component(),
        std::component(),
        sum::component(),
        top_values::component(),
        variance::component(),
        weighted_mean::component(),
        welch::component(),
        zero_crossings::component(),
    ]
}
