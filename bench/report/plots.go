package report

import (
	"fmt"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"

	"github.com/oauthdb/oauthdb/bench/subject"
)

// Files of the plots.
const (
	throughputPlot = "throughput.svg"
	sizePlot       = "latency-by-size.svg"
)

// plots draws what r has into a folder.
func (r *Results) plots(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write plots: %w", err)
	}
	p, err := r.bars()
	if err == nil {
		err = p.Save(9*vg.Inch, 3.5*vg.Inch, filepath.Join(dir, throughputPlot))
	}
	if err == nil && len(r.sizes()) > 1 {
		if p, err = r.lines(); err == nil {
			err = p.Save(8*vg.Inch, 5*vg.Inch, filepath.Join(dir, sizePlot))
		}
	}
	if err != nil {
		err = fmt.Errorf("write plots: %w", err)
	}
	return err
}

// bars are the throughput of each subject as a multiple of store's, in groups by the work.
func (r *Results) bars() (*plot.Plot, error) {
	works := []subject.Work{subject.IntrospectHit, subject.Redeem, subject.Rotate}
	p := plot.New()
	p.Title.Text, p.Y.Label.Text = fmt.Sprintf("Operations per second, %s", Plural(r.most(), "connection")), "multiple of store's"
	p.Legend.Top, p.Y.Min, p.X.Max = true, 0, 3.3 // with room for the legend
	const width = vg.Length(14)
	drawn := 0
	for i, s := range r.Subjects {
		values := make(plotter.Values, len(works))
		any := false
		for j, w := range works {
			values[j] = Ratio(r.Find(w, s.Name, r.middle(), r.most(), 0), r.Find(w, store, r.middle(), r.most(), 0)).Median
			any = any || values[j] > 0
		}
		if !any {
			continue
		}
		b, err := plotter.NewBarChart(values, width)
		if err != nil {
			return nil, err
		}
		b.Color, b.LineStyle.Width, b.Offset = plotutil.Color(i), 0, width*vg.Length(drawn-len(r.Subjects)/2)
		p.Add(b)
		p.Legend.Add(s.Name, b)
		drawn++
	}
	p.NominalX(string(works[0]), string(works[1]), string(works[2]))
	return p, nil
}

// lines are the p50 of each work by the number of access tokens.
func (r *Results) lines() (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = "p50 of store with one connection", "access tokens in the database", "µs"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.LogTicks{Prec: -1}, plot.LogTicks{Prec: -1}
	p.Legend.Top, p.Legend.Left = true, true
	var all []any
	for _, w := range subject.Works {
		var at plotter.XYs
		for _, n := range r.sizes() {
			if v := r.Find(w, store, n, 1, 0).P50().Median; v > 0 {
				at = append(at, plotter.XY{X: float64(n), Y: v / 1e3})
			}
		}
		if len(at) > 0 {
			all = append(all, string(w), at)
		}
	}
	return p, plotutil.AddLinePoints(p, all...)
}
