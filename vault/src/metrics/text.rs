//! The text format of Prometheus: families with their help, samples with their labels.

use std::fmt::Write;

use crate::meters::{FLUSH_MICROS, Histogram};

/// Microseconds of a second.
const MICROS: f64 = 1e6;

/// A page that is being written.
#[derive(Default)]
pub(super) struct Text(String);

/// One family of samples.
#[derive(Clone, Copy)]
pub(super) struct Family {
    pub name: &'static str,
    pub help: &'static str,
}

/// A label and its value. Values are IDs and words of this program.
pub(super) type Labels<'a> = &'a [(&'static str, &'a str)];

/// A number as the format has it: what is larger than 2^53 loses its last digits.
pub(super) fn number(value: u64) -> f64 {
    let (high, low) = (u32::try_from(value >> 32), u32::try_from(value & 0xffff_ffff));
    f64::from(high.unwrap_or_default()) * 4_294_967_296.0 + f64::from(low.unwrap_or_default())
}

impl Text {
    /// A family of values that go up and down.
    pub(super) fn gauges(&mut self, family: Family, samples: &[(Labels<'_>, f64)]) {
        self.family(family, "gauge", samples);
    }

    /// One of them, without a label.
    pub(super) fn gauge(&mut self, family: Family, value: f64) {
        self.gauges(family, &[(&[], value)]);
    }

    /// A family of values that only grow.
    pub(super) fn counters(&mut self, family: Family, samples: &[(Labels<'_>, f64)]) {
        self.family(family, "counter", samples);
    }

    /// One of them, without a label.
    pub(super) fn counter(&mut self, family: Family, value: u64) {
        self.counters(family, &[(&[], number(value))]);
    }

    /// How long something took.
    pub(super) fn histogram(&mut self, family: Family, samples: &[(Labels<'_>, &Histogram)]) {
        self.head(family, "histogram");
        let name = family.name;
        for (labels, histogram) in samples {
            let (totals, sum_micros) = histogram.totals();
            let bounds = FLUSH_MICROS.iter().map(|micros| (number(*micros) / MICROS).to_string());
            for (bound, total) in bounds.chain(["+Inf".to_owned()]).zip(totals) {
                let labels = [*labels, &[("le", bound.as_str())]].concat();
                self.sample(&format!("{name}_bucket"), &labels, number(total));
            }
            self.sample(&format!("{name}_sum"), labels, number(sum_micros) / MICROS);
            let count = totals.last().copied().unwrap_or_default();
            self.sample(&format!("{name}_count"), labels, number(count));
        }
    }

    /// The page.
    pub(super) fn finish(self) -> String {
        self.0
    }

    fn family(&mut self, family: Family, kind: &str, samples: &[(Labels<'_>, f64)]) {
        self.head(family, kind);
        for (labels, value) in samples {
            self.sample(family.name, labels, *value);
        }
    }

    fn head(&mut self, Family { name, help }: Family, kind: &str) {
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("memory takes it");
    }

    fn sample(&mut self, name: &str, labels: Labels<'_>, value: f64) {
        self.0.push_str(name);
        for (place, (label, value)) in labels.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            // What stands in a label never ends it.
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            write!(self.0, "{before}{label}=\"{value}\"").expect("memory takes it");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        writeln!(self.0, "{close} {value}").expect("memory takes it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const FAMILY: Family = Family { name: "coffer_x", help: "What it is." };

    #[test]
    fn a_family_has_its_help_and_a_line_for_each_sample() {
        let mut text = Text::default();
        text.gauges(FAMILY, &[(&[], 1.5), (&[("a", "b"), ("c", "d\"\\\n")], number(1 << 40))]);
        assert_eq!(
            text.finish(),
            "# HELP coffer_x What it is.\n# TYPE coffer_x gauge\ncoffer_x 1.5\n\
             coffer_x{a=\"b\",c=\"d\\\"\\\\\\n\"} 1099511627776\n"
        );
    }

    #[test]
    fn a_histogram_has_its_buckets_sum_and_count() {
        let histogram = Histogram::default();
        histogram.record(Duration::from_micros(300));
        let mut text = Text::default();
        text.histogram(FAMILY, &[(&[("of", "log")], &histogram)]);
        let text = text.finish();
        for line in [
            "coffer_x_bucket{of=\"log\",le=\"0.0002\"} 0\n",
            "coffer_x_bucket{of=\"log\",le=\"0.0004\"} 1\n",
            "coffer_x_bucket{of=\"log\",le=\"+Inf\"} 1\n",
            "coffer_x_sum{of=\"log\"} 0.0003\n",
            "coffer_x_count{of=\"log\"} 1\n",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
