//! `charflow bench`: the published benchmarks, from the data to a table.
//!
//! | file | what |
//! |---|---|
//! | `w2`, `gaussians`, `costs`, `study` | which problems, which settings, which published numbers |
//! | `known` | fits problems with a known answer, judges them, writes table and figure |
//! | `certificate` | what the certificate says of maps whose truth is known |
//! | `cite` | cells of a left-out day |
//! | `elastic` | cells under a cost that lets coordinates rest |
//! | `adapt` | features of two domains: labels carried from one to the other |
//! | `color` | pairs of pictures that take on each other's colours |
//! | `record` | `record.json`, and what it says of the machine |

mod adapt;
mod certificate;
mod cite;
mod color;
mod costs;
mod elastic;
mod gaussians;
mod known;
#[cfg(feature = "latent")]
mod mnist;
mod mnist_args;
mod record;
mod study;
mod w2;

use super::fit::with_set;
use crate::failure::{Failure, Result};
use crate::terminal::parse_duration;
use charflow::solver::Config;
use std::path::PathBuf;

/// Fit a published benchmark, and judge the maps against its truth.
///
/// w2: mixture to map, the continuous Wasserstein-2 benchmark, from its files in --data (or in the folder that CHARFLOW_DATA names, or w2bench in it). gaussians: random
/// Gaussian pairs; with --data those of {d}D_Test_Distributions.npz. costs: problems whose optimal map is known for other costs than the quadratic one, each also fitted with a wrong cost where that has
/// another map. study: what each part of the method is worth, on one problem of w2 (on a random one of its
/// form if there are no files), the same time for each. cite: single cells, a left-out day predicted from the days around it; --data holds
/// cite_pca100_day2.npy and so on. elastic: the same cells from day 2 to day 7 under the cost |v|^2 / 2 + gamma sum_i |v_i|, for several gammas: how many coordinates of a
/// displacement are exactly zero, at what mismatch and what cost. adapt: features of pictures in two domains (digits of USPS and MNIST, objects of Office-Caltech), labelled on one side; the source is moved onto
/// the target and its labels are carried over, by every method; --data holds usps_mnist_16x16 and office_caltech_surf. certificate: what the certificate says of right and wrong maps whose truth is
/// known: how often each of its bounds holds, how tight it is, and which wrong maps it calls good; --data may hold the files of w2.
///
/// Writes record.json (settings, scores, curves, the machine), table.md and, where there are curves, error.png and error.svg (elastic: zeros.png and zeros.svg; adapt: accuracy.png and accuracy.svg). The truth is recorded as a fit goes on and
/// never used to choose a model. Ctrl-C ends a bench with what is done.
#[derive(clap::Args, Clone)]
#[command(after_help = "\
Example (every line runs as printed):
  charflow bench gaussians --dims 2 --samples 2000 --steps 300 -o bench-quick
  charflow bench costs --problem line --cost power:3 --samples 2000 --steps 300 -o bench-costs-quick
  charflow bench study --dims 2 --samples 2000 --time-limit 2s -o bench-study
  charflow bench certificate --scale smoke --recipes 3 -o bench-certificate")]
pub struct Bench {
    /// The benchmark
    #[arg(value_name = "NAME", value_enum)]
    name: Name,
    /// Dimensions, with commas [default: all there are; study: 8; costs: those of the problem pair, 8,32]
    #[arg(long, value_name = "D", value_delimiter = ',')]
    dims: Vec<usize>,
    /// cite, elastic, adapt: principal components, with commas [default: 50,100; elastic: 50; adapt: 64 for digits, 32 for objects]
    #[arg(long, value_name = "N", value_delimiter = ',')]
    components: Vec<usize>,
    /// elastic: gammas, with commas, in the unit of the cells [default: 0, 1/2, 1, 2, ... 32 times the median move of a coordinate under the linear map]
    #[arg(long, value_name = "GAMMA", value_delimiter = ',')]
    gamma: Vec<f64>,
    /// costs: a family of problems; may be repeated [default: all]
    #[arg(long, value_name = "NAME", value_enum)]
    problem: Vec<Problem>,
    /// costs: a cost, such as elastic:0.5 or, with the parameter that suits the problem, elastic; may be repeated [default: one of each kind]
    #[arg(long, value_name = "COST")]
    cost: Vec<String>,
    /// costs: without the fits with a wrong cost
    #[arg(long)]
    no_wrong: bool,
    /// color: a group of pairs; may be repeated [default: all that have pairs of the role]
    #[arg(long, value_name = "NAME")]
    group: Vec<String>,
    /// color: the role of the pairs in pairs.csv
    #[arg(long, value_name = "NAME", default_value = "eval")]
    role: String,
    /// color: at most so many pairs of each group
    #[arg(long, value_name = "N")]
    pairs: Option<usize>,
    /// mnist: a task, fashion-to-mnist, pairs or shift; adapt: such as usps-mnist or amazon-dslr; may be repeated [default: all]
    #[arg(long, value_name = "NAME")]
    task: Vec<String>,
    #[command(flatten)]
    mnist: mnist_args::Args,
    /// color, mnist: draw no montages, no grids
    #[arg(long)]
    no_figures: bool,
    /// adapt: target points a class whose labels the semi-supervised rows may see; 0 for no such rows [default: 3]
    #[arg(long, value_name = "N")]
    target_labels: Option<usize>,
    /// certificate: how many cases [default: full]
    #[arg(long, value_enum, value_name = "SCALE")]
    scale: Option<certificate::Scale>,
    /// certificate: only problems with this in their name, such as "shape" or "gaussian, d 8"
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// certificate: at most so many of its problems, evenly from all
    #[arg(long, value_name = "N")]
    recipes: Option<usize>,
    /// How much work a fit is given
    #[arg(long, value_enum, default_value_t = Effort::Normal)]
    effort: Effort,
    /// The folder of the benchmark's data
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The folder to write to; made if it is not there, files of an earlier bench replaced [default: bench-NAME]
    #[arg(short = 'o', long = "out", value_name = "DIR")]
    out: Option<PathBuf>,
    /// What to fit, with commas; the linear map is always there
    #[arg(long, value_enum, value_name = "METHOD", value_delimiter = ',', default_values_t = [Method::NcfDual])]
    method: Vec<Method>,
    /// Training points of each side [default: 262144 for w2, study and costs, 524288 on its line, 100000 for gaussians]
    #[arg(long, value_name = "N")]
    samples: Option<usize>,
    /// Seed of samples and fits
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Optimisation steps of each fit
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Time of each fit: 90, 90s, 5m, 1h; 0 for no limit [default: none; study: 2m; costs: 5m; elastic: 90s; adapt: 1m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    time_limit: Option<f64>,
    /// Threads; 0 for all cores. Results do not depend on it
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// One setting of all fits, such as optimiser.rate=1e-3; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print record.json instead of the table
    #[arg(long)]
    json: bool,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Name {
    W2,
    Gaussians,
    Costs,
    Study,
    Cite,
    Elastic,
    Adapt,
    Color,
    Mnist,
    Certificate,
}

/// The families of `charflow_lab::known_costs`.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Problem {
    /// One dimension: the increasing map, for every convex cost
    Line,
    /// All points moved by one vector, for every convex cost
    Translation,
    /// Along rays, for costs of the length alone
    Radial,
    /// Each coordinate alone, for costs that are sums over coordinates
    Product,
    /// A measure and its image under x + V(grad f(x)), f convex, for the cost with this V
    Pair,
}

/// How much work a fit is given.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Effort {
    /// Narrow networks, few steps
    Quick,
    /// What `fit` does unless asked for something else
    Normal,
    /// Wide networks, many steps
    Best,
}

impl Effort {
    fn name(self) -> &'static str {
        match self {
            Effort::Quick => "quick",
            Effort::Normal => "normal",
            Effort::Best => "best",
        }
    }
}

/// What is fitted.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Method {
    /// The losses of the paper alone, from random weights
    Ncf,
    /// The preset auto: from the best linear map, with the dual stage
    #[value(name = "ncf+dual")]
    NcfDual,
    /// The equation's squared residual in place of the implicit formula
    HjPinn,
    /// Only the closed-form map between the two means and covariances
    Linear,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Method::Ncf => "ncf",
            Method::NcfDual => "ncf+dual",
            Method::HjPinn => "hj-pinn",
            Method::Linear => "linear",
        }
    }
}

/// The settings of a method at an effort, for `n` source and `m` target points in `d` dimensions. The one place where they are decided.
fn settings(method: Method, effort: Effort, n: usize, m: usize, d: usize) -> Result<Config> {
    let mut config = Config::preset_with_effort("auto", effort.name(), n, m, d)?;
    match method {
        Method::NcfDual | Method::Linear => {}
        Method::Ncf | Method::HjPinn => {
            config = config.losses_alone(n, m, d);
        }
    }
    if method == Method::HjPinn {
        config.loss.hj = 0.0;
        config.loss.hj_terminal = 0.0;
        config.loss.pde = 1.0;
    }
    Ok(config)
}

impl Bench {
    /// Runs the verb.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn run(self) -> Result<()> {
        self.check()?;
        super::set_threads(self.threads.unwrap_or(0))?;
        match self.name {
            Name::W2 => w2::run(&self),
            Name::Gaussians => gaussians::run(&self),
            Name::Costs => costs::run(&self),
            Name::Study => study::run(&self),
            Name::Cite => cite::run(&self),
            Name::Elastic => elastic::run(&self),
            Name::Adapt => adapt::run(&self),
            Name::Color => color::run(&self),
            Name::Certificate => certificate::run(&self),
            #[cfg(feature = "latent")]
            Name::Mnist => mnist::run(&self),
            #[cfg(not(feature = "latent"))]
            Name::Mnist => Err(super::latent::without("bench mnist")),
        }
    }

    /// What is wrong with the command line is told before data are read or drawn.
    fn check(&self) -> Result<()> {
        let cells = matches!(self.name, Name::Cite | Name::Elastic | Name::Adapt);
        if cells && (!self.dims.is_empty() || self.samples.is_some()) {
            return Err(Failure::input(
                "cite, elastic and adapt have no --dims and no --samples: their dimensions are --components, and all points are taken.",
            ));
        }
        if !cells && !self.components.is_empty() {
            return Err(Failure::input(
                "--components goes with cite, elastic and adapt; here it is --dims.",
            ));
        }
        if self.name == Name::Elastic {
            elastic::check(self)?;
        } else if !self.gamma.is_empty() {
            return Err(Failure::input("--gamma goes with elastic."));
        }
        if self.name == Name::Adapt {
            adapt::check(self)?;
        } else if self.target_labels.is_some() {
            return Err(Failure::input("--target-labels goes with adapt."));
        }
        if self.name == Name::Color {
            if !self.dims.is_empty() || self.samples.is_some() || self.method != [Method::NcfDual] {
                return Err(Failure::input(
                    "color has no --dims, --samples and --method: its points are the pixels, its settings those of charflow color.",
                ));
            }
        } else if !self.group.is_empty() || self.pairs.is_some() || self.role != "eval" {
            return Err(Failure::input("--group, --role and --pairs go with color."));
        }
        if self.name == Name::Certificate {
            if !self.dims.is_empty() || self.samples.is_some() || self.method != [Method::NcfDual] {
                return Err(Failure::input(
                    "certificate has no --dims, --samples and --method: its problems are those of --scale.",
                ));
            }
            if self.recipes == Some(0) {
                return Err(Failure::input("--recipes: expected at least 1."));
            }
        } else if self.scale.is_some() || self.only.is_some() || self.recipes.is_some() {
            return Err(Failure::input(
                "--scale, --only and --recipes go with certificate.",
            ));
        }
        if self.no_figures && !matches!(self.name, Name::Color | Name::Mnist) {
            return Err(Failure::input("--no-figures goes with color and mnist."));
        }
        if self.name == Name::Mnist {
            if !self.dims.is_empty() || self.samples.is_some() || self.method != [Method::NcfDual] {
                return Err(Failure::input(
                    "mnist has no --dims, --samples and --method: its points are the latents of all images, its settings those of fit --labels.",
                ));
            }
        } else if self.mnist.given() {
            return Err(Failure::input(
                "--latents, --labels-per-class, --spread, --permute-labels, --retrain, --judge-on and --no-ablation go with mnist.",
            ));
        }
        if !self.task.is_empty() && !matches!(self.name, Name::Mnist | Name::Adapt) {
            return Err(Failure::input("--task goes with mnist and adapt."));
        }
        let asked = [
            ("--problem", !self.problem.is_empty()),
            ("--cost", !self.cost.is_empty()),
            ("--no-wrong", self.no_wrong),
        ];
        if let Some((option, _)) = asked.iter().find(|(_, given)| *given)
            && self.name != Name::Costs
        {
            return Err(Failure::input(format!(
                "{option} goes with the benchmark costs; the problems of the others are for the quadratic cost."
            )));
        }
        if self.name == Name::Costs && self.data.is_some() {
            return Err(Failure::input(
                "costs has no --data: its problems are drawn.",
            ));
        }
        if let Some(set) = self
            .set
            .iter()
            .find(|set| set.trim_start().starts_with("cost="))
        {
            return Err(Failure::input(format!(
                "--set {set}: a benchmark's cost is that of its problems; other costs are those of `bench costs --cost`."
            )));
        }
        if self
            .dims
            .iter()
            .chain(&self.components)
            .any(|d| *d == 0 || *d > 1024)
        {
            return Err(Failure::input("dimensions go from 1 to 1024."));
        }
        if self.samples.is_some_and(|n| n < 10) {
            return Err(Failure::input(
                "--samples: expected at least 10 points of each side.",
            ));
        }
        self.overlaid(settings(Method::NcfDual, self.effort, 100, 100, 2)?)?;
        Ok(())
    }

    /// The folder for the results, made if need be.
    fn folder(&self, name: &str) -> Result<PathBuf> {
        let out = self
            .out
            .clone()
            .unwrap_or_else(|| PathBuf::from(format!("bench-{name}")));
        let filled = out.is_dir()
            && std::fs::read_dir(&out).is_ok_and(|mut entries| entries.next().is_some());
        if filled && !out.join("record.json").is_file() {
            return Err(Failure::input(format!(
                "{} holds other files and no earlier bench. Choose another folder with -o.",
                out.display()
            )));
        }
        std::fs::create_dir_all(&out).map_err(|e| {
            Failure::system(
                &out,
                "the folder cannot be made; choose another one with -o",
                &e,
            )
        })?;
        Ok(out)
    }

    /// The folder of data asked for, else that of the environment.
    fn data_folder(&self) -> Option<PathBuf> {
        let environment = || std::env::var_os("CHARFLOW_DATA").map(PathBuf::from);
        self.data.clone().or_else(environment)
    }

    /// The settings of a method with those of the command line over them.
    fn config(&self, method: Method, n: usize, m: usize, d: usize) -> Result<Config> {
        self.config_at(self.effort, method, n, m, d)
    }

    /// The settings of a fit class by class, as `fit --labels` has them.
    fn config_for_classes(&self, n: usize, m: usize, d: usize) -> Result<Config> {
        let config = settings(Method::NcfDual, self.effort, n, m, d)?;
        self.overlaid(config.for_classes(n, m, d))
    }

    /// [`Bench::config`] at an effort of its own.
    fn config_at(
        &self,
        effort: Effort,
        method: Method,
        n: usize,
        m: usize,
        d: usize,
    ) -> Result<Config> {
        self.overlaid(settings(method, effort, n, m, d)?)
    }

    fn overlaid(&self, config: Config) -> Result<Config> {
        let mut config = with_set(config, &self.set)?;
        config.seed = self.seed;
        if let Some(steps) = self.steps {
            config.steps = steps;
        }
        if let Some(seconds) = self.time_limit {
            config.time_limit = seconds;
        }
        if let Some(threads) = self.threads {
            config.threads = threads;
        }
        config.check()?;
        Ok(config)
    }

    /// The methods that are fitted: all but the linear map, which always has its row.
    fn methods(&self) -> Vec<Method> {
        let mut methods: Vec<Method> = Vec::new();
        for &m in &self.method {
            if m != Method::Linear && !methods.contains(&m) {
                methods.push(m);
            }
        }
        methods
    }
}
