#![allow(missing_docs, clippy::all, clippy::print_stdout)]
use charflow::solver::*; use charflow::*; use charflow::map::*; use rand::{SeedableRng}; use rand_chacha::ChaCha8Rng; use rand_distr::{Distribution,StandardNormal};
struct Obs(std::time::Instant);
impl Observer for Obs { fn on_progress(&mut self,p:&Progress<'_>){ if self.0.elapsed().as_secs_f64()>20.0 || p.step==p.steps { self.0=std::time::Instant::now(); if let Some(r)=p.latest { eprintln!("{} {:.1}/s {:.1}s hj {:.2e} ed {:.2e} {:.2e} ho {:?} {:?}",p.step,p.rate,p.seconds,r.hj,r.ed_forward,r.ed_backward,r.held_out_forward,r.held_out_backward);} } } fn on_note(&mut self,t:&str){eprintln!("note {t}");} }
fn main(){ let a:Vec<String>=std::env::args().collect(); let d:usize=a[1].parse().unwrap();
 let b=std::fs::read(format!("/tmp/exp/g{d}.bin")).unwrap(); let v:Vec<f64>=b.chunks(8).map(|c|f64::from_le_bytes(c.try_into().unwrap())).collect();
 let m=|i:usize|&v[i*d*d..(i+1)*d*d];
 let mut rng=ChaCha8Rng::seed_from_u64(1);
 let mut draw=|l:&[f64],n:usize|{let mut x=vec![0.0;n*d]; for r in x.chunks_mut(d){let z:Vec<f64>=(0..d).map(|_|StandardNormal.sample(&mut rng)).collect(); for i in 0..d{r[i]=(0..=i).map(|k|l[i*d+k]*z[k]).sum();}} x};
 let n=100000; let xs=draw(m(4),n); let ys=draw(m(5),n); let xt=draw(m(4),20000); let yt=draw(m(5),20000);
 let p=Problem::new(Samples::from_f64(&xs,d).unwrap().named("s"),Samples::from_f64(&ys,d).unwrap().named("t"),Box::new(cost::Quadratic)).unwrap();
 let mut c=Config::preset("paper-gaussian",n,n,d).unwrap(); for kv in &a[2..]{let (k,val)=kv.split_once('=').unwrap(); c.set(k,val).unwrap();}
 let s=NcfSolver::new(c).solve(p,&mut Obs(std::time::Instant::now())).unwrap();
 let uvp=|out:&[f64],x:&[f64],t:&[f64],tr:f64|{let mut e=0.0; for (r,o) in x.chunks(d).zip(out.chunks(d)){for i in 0..d{let y:f64=(0..d).map(|k|t[i*d+k]*r[k]).sum(); e+=(y-o[i]).powi(2);}} 100.0*e/(x.len()/d) as f64/tr};
 let tr=|s:&[f64]|(0..d).map(|i|s[i*d+i]).sum::<f64>();
 println!("D={d} {} fwd {:.4} bwd {:.4} steps {} {:.0}s chosen {} {:?}", a[2..].join(" "), uvp(&s.map.forward(&xt).unwrap(),&xt,m(2),tr(m(1))), uvp(&s.map.backward(&yt).unwrap(),&yt,m(3),tr(m(0))), s.report.steps, s.report.seconds, s.report.chosen_step, s.outcome);
}
