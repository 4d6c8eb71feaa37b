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

const sizePlot = "latency-by-size.svg"

// plots draws the p50 of each work by the number of access tokens into a folder, if it was measured.
func (r *Results) plots(dir string) error {
	if len(r.sizes()) < 2 {
		return nil
	}
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
	err := plotutil.AddLinePoints(p, all...)
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = p.Save(8*vg.Inch, 5*vg.Inch, filepath.Join(dir, sizePlot))
	}
	if err != nil {
		err = fmt.Errorf("draw %s: %w", sizePlot, err)
	}
	return err
}
