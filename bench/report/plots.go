package report

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/oauthdb/oauthdb/bench/subject"
)

// Files that WritePlots writes.
const (
	throughputPlot = "throughput.svg"
	sizePlot       = "latency-by-size.svg"
	delayPlot      = "latency-by-delay.svg"
)

// Plots draws what r has, as SVG by file name. The same results give the same bytes.
func Plots(r *Results) (map[string][]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	plots := map[string][]byte{}
	for name, plot := range map[string]func(*Results) ([]byte, error){
		throughputPlot: plotThroughput,
		sizePlot:       plotSizes,
		delayPlot:      plotDelays,
	} {
		b, err := plot(r)
		if err != nil {
			return nil, fmt.Errorf("plot %s: %w", name, err)
		}
		if b != nil {
			plots[name] = b
		}
	}
	return plots, nil
}

// WritePlots writes the plots of r to the folder dir, and removes those that r has no numbers for.
func WritePlots(dir string, r *Results) error {
	plots, err := Plots(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write plots: %w", err)
	}
	for _, name := range []string{throughputPlot, sizePlot, delayPlot} {
		path := filepath.Join(dir, name)
		if b, ok := plots[name]; ok {
			err = os.WriteFile(path, b, 0o644)
		} else if err = os.Remove(path); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		if err != nil {
			return fmt.Errorf("write plots: %w", err)
		}
	}
	return nil
}

// The palette of Okabe and Ito, which colour-blind readers tell apart too, in an order that keeps neighbours apart in brightness.
var palette = []color.Color{
	color.NRGBA{0x00, 0x72, 0xB2, 0xFF}, // blue
	color.NRGBA{0xE6, 0x9F, 0x00, 0xFF}, // orange
	color.NRGBA{0x00, 0x9E, 0x73, 0xFF}, // green
	color.NRGBA{0xCC, 0x79, 0xA7, 0xFF}, // pink
	color.NRGBA{0x56, 0xB4, 0xE9, 0xFF}, // sky
	color.NRGBA{0xD5, 0x5E, 0x00, 0xFF}, // vermilion
	color.NRGBA{0x59, 0x59, 0x59, 0xFF}, // grey
}

var (
	ink  = color.NRGBA{0x22, 0x22, 0x22, 0xFF}
	grid = color.NRGBA{0xDD, 0xDD, 0xDD, 0xFF}
)

// Shapes and dashes go with the colours, so that nothing depends on those alone.
var (
	shapes = []draw.GlyphDrawer{
		draw.CircleGlyph{}, draw.BoxGlyph{}, draw.TriangleGlyph{}, draw.RingGlyph{}, draw.SquareGlyph{}, draw.PyramidGlyph{}, draw.CrossGlyph{},
	}
	dashes = [][]vg.Length{nil, {6, 2}, {2, 2}, {8, 2, 2, 2}}
)

const (
	small  vg.Length = 10
	normal vg.Length = 11
	large  vg.Length = 13
)

func face(size vg.Length) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
}

func style(size vg.Length, c color.Color) text.Style {
	return text.Style{Color: c, Font: face(size), Handler: plot.DefaultTextHandler, YAlign: text.YCenter}
}

// newPlot is an empty plot with a grid of the axes that show figures.
func newPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = color.White
	p.Title.Text = title
	p.Title.TextStyle.Font = face(large)
	p.Title.TextStyle.Color = ink
	p.Title.Padding = 8
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font = face(normal)
		a.Label.TextStyle.Color = ink
		a.Label.Padding = 4
		a.Tick.Label.Font = face(small)
		a.Tick.Label.Color = ink
		a.LineStyle.Color = ink
		a.Tick.LineStyle.Color = ink
	}
	p.X.Label.Text, p.Y.Label.Text = x, y
	return p
}

func newGrid() *plotter.Grid {
	g := plotter.NewGrid()
	for _, l := range []*draw.LineStyle{&g.Horizontal, &g.Vertical} {
		l.Color, l.Width = grid, 0.5
	}
	return g
}

// svg draws on a white canvas. The text is shown in a font of the same measures where Liberation isn't installed.
func svg(width, height vg.Length, paint func(draw.Canvas)) ([]byte, error) {
	c := vgsvg.New(width, height)
	canvas := draw.New(c)
	canvas.SetColor(color.White)
	canvas.Fill(canvas.Rectangle.Path())
	paint(canvas)
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return nil, err
	}
	return bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:'Liberation Sans',Arial,Helvetica,sans-serif;")), nil
}

// panel is the throughput of subjects at one work.
type panel struct {
	work  subject.Work
	names []string
	ops   []Spread
}

// bars are the works that stand for the others.
func bars(r *Results) []panel {
	var panels []panel
	for _, w := range []subject.Work{subject.IntrospectHit, subject.Redeem, subject.Rotate} {
		at := r.middle()
		names := r.subjects(func(c *Cell) bool { return c.Work == w && c.Size == at && c.Conns == comparedAt && c.Delay == 0 })
		p := panel{work: w}
		for _, name := range names {
			p.names = append(p.names, name)
			p.ops = append(p.ops, r.find(w, name, at, comparedAt, 0).PerSecond())
		}
		if len(names) > 0 {
			panels = append(panels, p)
		}
	}
	return panels
}

// plotThroughput draws a panel for each work, with a bar for each subject, named at its foot and with its figure at its end.
func plotThroughput(r *Results) ([]byte, error) {
	panels := bars(r)
	if len(panels) == 0 {
		return nil, nil
	}
	const bar, gap vg.Length = 14, 7
	most := 0
	plots := make([][]*plot.Plot, 1)
	for _, data := range panels {
		most = max(most, len(data.names))
		p := newPlot(string(data.work), "operations per second", "")
		g := newGrid()
		g.Horizontal.Width = 0
		p.Add(g)
		n := len(data.names)
		highest := 0.0
		names := make([]string, n)
		for i, name := range data.names {
			y := float64(n - 1 - i) // from above
			names[n-1-i] = name
			b, err := plotter.NewBarChart(plotter.Values{data.ops[i].Median}, bar)
			if err != nil {
				return nil, err
			}
			b.Horizontal = true
			b.XMin = y
			b.LineStyle.Width = 0
			b.Color = palette[4]
			if name == store {
				b.Color = palette[0]
			}
			p.Add(b)
			if s := data.ops[i]; s.N > 1 {
				e, err := plotter.NewXErrorBars(spreads{{s.Median, y, s}})
				if err != nil {
					return nil, err
				}
				e.LineStyle.Color, e.CapWidth = ink, 5
				p.Add(e)
			}
			p.Add(note{x: data.ops[i].High, y: y, text: count(data.ops[i].Median)})
			highest = max(highest, data.ops[i].High)
		}
		p.NominalY(names...)
		p.Y.Tick.Length, p.Y.LineStyle.Width = 0, 0
		p.X.Min, p.X.Max = 0, 1.3*highest // with room for the figures
		p.Y.Min, p.Y.Max = -0.6, float64(n)-0.4
		p.X.Tick.Marker = plot.TickerFunc(func(low, high float64) []plot.Tick { return steps(low, high, 4, count) })
		plots[0] = append(plots[0], p)
	}
	height := vg.Length(most)*(bar+gap) + 75
	return svg(290*vg.Length(len(panels)), height, func(c draw.Canvas) {
		tiles := draw.Tiles{Rows: 1, Cols: len(panels), PadX: 14, PadTop: 8, PadBottom: 6, PadLeft: 8, PadRight: 8}
		for i, canvas := range plot.Align(plots, tiles, c)[0] {
			plots[0][i].Draw(canvas)
		}
	})
}

// spreads are points with their spreads in the direction of X.
type spreads []struct {
	x, y float64
	s    Spread
}

func (s spreads) Len() int                { return len(s) }
func (s spreads) XY(i int) (x, y float64) { return s[i].x, s[i].y }
func (s spreads) XError(i int) (float64, float64) {
	return s[i].s.Median - s[i].s.Low, s[i].s.High - s[i].s.Median
}

// note is a text to the right of a point.
type note struct {
	x, y float64
	text string
}

func (n note) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	c.FillText(style(small, ink), vg.Point{X: x(n.x) + 4, Y: y(n.y)}, n.text)
}

// line is a course of medians.
type line struct {
	name string
	rank int // of its colour, dash and shape
	at   plotter.XYs
}

// sizeLines are the p50, in microseconds, of store's works by the number of access tokens.
func sizeLines(r *Results) []line {
	own := func(c *Cell) bool { return c.Subject == store && c.Conns == 1 && c.Delay == 0 }
	sizes := distinct(r, size, own)
	if len(sizes) < 2 {
		return nil
	}
	var lines []line
	for _, w := range r.works(own) {
		l := line{name: string(w), rank: rank(w)}
		for _, n := range sizes {
			if s := r.find(w, store, n, 1, 0).P50(); s.Median > 0 {
				l.at = append(l.at, plotter.XY{X: float64(n), Y: s.Median / 1e3})
			}
		}
		if len(l.at) > 0 {
			lines = append(lines, l)
		}
	}
	return lines
}

// delayConns is the number of connections in the plot of delays: the least, as the wait for a processor hides that for the network.
func delayConns(r *Results) int {
	if all := r.delayedConns(subject.Rotate); len(all) > 0 {
		return all[0]
	}
	return 0
}

// delayLines are the p50 of a rotation, in milliseconds, by the delay of the network.
func delayLines(r *Results) []line {
	n := delayConns(r)
	own := func(c *Cell) bool { return c.Work == subject.Rotate && c.Size == r.middle() && c.Conns == n }
	delays := distinct(r, delay, own)
	if len(delays) < 2 {
		return nil
	}
	var lines []line
	for _, name := range r.subjects(own) {
		l := line{name: name, rank: r.subjectRank(name)}
		for _, d := range delays {
			if s := r.find(subject.Rotate, name, r.middle(), n, d).P50(); s.Median > 0 {
				l.at = append(l.at, plotter.XY{X: float64(d) / float64(time.Millisecond), Y: s.Median / 1e6})
			}
		}
		if len(l.at) > 0 {
			lines = append(lines, l)
		}
	}
	return lines
}

func plotSizes(r *Results) ([]byte, error) {
	lines := sizeLines(r)
	if len(lines) == 0 {
		return nil, nil
	}
	p := newPlot("p50 of "+store+" with one connection", "access tokens in the database", "p50 (µs)")
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker = plot.TickerFunc(func(low, high float64) []plot.Tick {
		return logSteps(low, high, []float64{1}, func(v float64) string { return sizeName(int64(math.Round(v))) })
	})
	p.Y.Tick.Marker = plot.TickerFunc(func(low, high float64) []plot.Tick {
		return logSteps(low, high, []float64{1, 2, 5}, figureOrCount)
	})
	return plotLines(p, lines, func() {
		p.Y.Min, p.Y.Max = under(p.Y.Min), above(p.Y.Max)
	})
}

func plotDelays(r *Results) ([]byte, error) {
	lines := delayLines(r)
	if len(lines) == 0 {
		return nil, nil
	}
	p := newPlot("p50 of a rotation with "+plural(delayConns(r), "connection"),
		"added to a round trip through the network (ms)", "p50 (ms)")
	var delays []plot.Tick
	for _, l := range lines {
		for _, at := range l.at {
			if !slices.ContainsFunc(delays, func(t plot.Tick) bool { return t.Value == at.X }) {
				delays = append(delays, plot.Tick{Value: at.X, Label: strconv.FormatFloat(at.X, 'f', -1, 64)})
			}
		}
	}
	p.X.Tick.Marker = plot.ConstantTicks(delays)
	p.Y.Tick.Marker = plot.TickerFunc(func(low, high float64) []plot.Tick { return steps(low, high, 6, figureOrCount) })
	return plotLines(p, lines, func() { p.Y.Min, p.Y.Max = 0, 1.05*p.Y.Max })
}

// plotLines draws lines, each named at its right end. scale is called when the axes have got the range of the data.
func plotLines(p *plot.Plot, lines []line, scale func()) ([]byte, error) {
	p.Add(newGrid())
	var ends ends
	for _, l := range lines {
		c := palette[l.rank%len(palette)]
		course, points, err := plotter.NewLinePoints(l.at)
		if err != nil {
			return nil, err
		}
		course.LineStyle = draw.LineStyle{Color: c, Width: 1.5, Dashes: dashes[(l.rank/len(palette)+l.rank)%len(dashes)]}
		points.GlyphStyle = draw.GlyphStyle{Color: c, Radius: 3, Shape: shapes[l.rank%len(shapes)]}
		if l.name == store {
			course.LineStyle.Width, course.LineStyle.Dashes = 3, nil
			points.GlyphStyle.Radius = 4
		}
		p.Add(course, points)
		ends = append(ends, end{l.name, l.at[len(l.at)-1], c})
	}
	scale()
	p.Add(ends)
	return svg(620, 380, func(c draw.Canvas) {
		p.Draw(draw.Crop(c, 10, -120, 10, -10))
	})
}

// ends are names at the right ends of lines, moved apart where they would overlap.
type ends []end

type end struct {
	name  string
	at    plotter.XY
	color color.Color
}

func (e ends) Plot(c draw.Canvas, p *plot.Plot) {
	const distance vg.Length = 13
	toX, toY := p.Transforms(&c)
	sorted := slices.Clone(e)
	slices.SortStableFunc(sorted, func(a, b end) int {
		if a.at.Y < b.at.Y {
			return -1
		} else if a.at.Y > b.at.Y {
			return 1
		}
		return 0
	})
	want := make([]vg.Length, len(sorted))
	for i, l := range sorted {
		want[i] = toY(l.at.Y)
	}
	for i, y := range apart(want, distance, c.Min.Y, c.Max.Y) {
		l := sorted[i]
		x := c.Max.X + 16
		c.StrokeLine2(draw.LineStyle{Color: l.color, Width: 0.7}, toX(l.at.X)+5, want[i], x-2, y)
		c.FillText(style(normal, ink), vg.Point{X: x, Y: y}, l.name)
	}
}

// apart moves the ascending values of want so that neighbours are distance apart, as little as that takes, and within low and high as
// far as there is room.
func apart(want []vg.Length, distance, low, high vg.Length) []vg.Length {
	type group struct { // of neighbours that touch
		n   int
		sum vg.Length // of where their first would have to be for each to be where it wants to
	}
	clamp := func(g group) vg.Length {
		first := g.sum / vg.Length(g.n)
		return max(min(first, high-vg.Length(g.n-1)*distance), low)
	}
	var groups []group
	for _, w := range want {
		groups = append(groups, group{1, w})
		for len(groups) > 1 {
			a, b := groups[len(groups)-2], groups[len(groups)-1]
			if clamp(a)+vg.Length(a.n)*distance <= clamp(b) {
				break
			}
			merged := group{a.n + b.n, a.sum + b.sum - vg.Length(a.n*b.n)*distance}
			groups = append(groups[:len(groups)-2], merged)
		}
	}
	var at []vg.Length
	for _, g := range groups {
		for i := range g.n {
			at = append(at, clamp(g)+vg.Length(i)*distance)
		}
	}
	return at
}

// steps are about n round figures from low to high.
func steps(low, high float64, n int, write func(float64) string) []plot.Tick {
	raw := (high - low) / float64(n)
	if raw <= 0 {
		return nil
	}
	scale := math.Pow(10, math.Floor(math.Log10(raw)))
	step := 10 * scale
	for _, m := range []float64{1, 2, 5} {
		if raw <= m*scale {
			step = m * scale
			break
		}
	}
	var ticks []plot.Tick
	for i := math.Ceil(low / step); i*step <= high; i++ {
		ticks = append(ticks, plot.Tick{Value: i * step, Label: write(i * step)})
	}
	return ticks
}

// logSteps are the multiples of the powers of ten by factors from low to high.
func logSteps(low, high float64, factors []float64, write func(float64) string) []plot.Tick {
	var ticks []plot.Tick
	for e := math.Floor(math.Log10(low)); math.Pow(10, e) <= high; e++ {
		for _, f := range factors {
			if v := f * math.Pow(10, e); v >= low*0.999 && v <= high*1.001 {
				ticks = append(ticks, plot.Tick{Value: v, Label: write(v)})
			}
		}
	}
	return ticks
}

// under and above are the next figures of 1, 2 and 5 times a power of ten.
func under(v float64) float64 {
	scale := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{5, 2} {
		if f*scale <= v {
			return f * scale
		}
	}
	return scale
}

func above(v float64) float64 {
	scale := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{1, 2, 5} {
		if f*scale >= v {
			return f * scale
		}
	}
	return 10 * scale
}

func figureOrCount(v float64) string {
	if v >= 1000 {
		return count(v)
	}
	return figure(v)
}
