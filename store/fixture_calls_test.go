package store_test

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/store"
	"github.com/oauthdb/oauthdb/token"
)

// AnyCall is a call of the store, whichever, so that what holds for all of them is tried on all of them.
type AnyCall struct {
	Name string
	run  reflect.Value
	arg  reflect.Type // nil: the call takes none
}

// AnyCalls are all calls of the store.
func AnyCalls(q *store.Queries) []AnyCall {
	var calls []AnyCall
	querier := reflect.TypeFor[store.Querier]()
	for i := range querier.NumMethod() {
		m := querier.Method(i)
		c := AnyCall{Name: m.Name, run: reflect.ValueOf(q).MethodByName(m.Name)}
		if m.Type.NumIn() > 1 {
			c.arg = m.Type.In(1)
		}
		calls = append(calls, c)
	}
	return calls
}

// NewArg is an argument that says something everywhere, and nothing that is wrong by its form.
func (c AnyCall) NewArg() reflect.Value {
	if c.arg == nil {
		return reflect.Value{}
	}
	v := reflect.New(c.arg).Elem()
	fillIn(v)
	return v
}

func fillIn(v reflect.Value) {
	switch v.Type() {
	case reflect.TypeFor[token.Digest]():
		v.Set(reflect.ValueOf(Digest("x")))
		return
	case reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Now()))
		return
	case reflect.TypeFor[time.Duration]():
		v.Set(reflect.ValueOf(time.Minute))
		return
	case reflect.TypeFor[json.RawMessage]():
		v.Set(reflect.ValueOf(json.RawMessage(`{"x": 1}`)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fillIn(v.Index(0))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillIn(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			fillIn(v.Field(i))
		}
	default:
		panic("no value for " + v.Type().String())
	}
}

// Call makes the call.
func (c AnyCall) Call(ctx context.Context, arg reflect.Value) error {
	in := []reflect.Value{reflect.ValueOf(ctx)}
	if c.arg != nil {
		in = append(in, arg)
	}
	out := c.run.Call(in)
	err, _ := out[len(out)-1].Interface().(error)
	return err
}

// EachField visits each field of a call's argument, or the argument itself where it is one value, in an argument that has
// been filled in for the visit, with its number as a parameter of the statement.
func (c AnyCall) EachField(visit func(name string, parameter int, arg, field reflect.Value)) {
	switch {
	case c.arg == nil:
	case strings.HasSuffix(c.arg.Name(), "Params"):
		for i := range c.arg.NumField() {
			arg := c.NewArg()
			visit(c.Name+"."+c.arg.Field(i).Name, i+1, arg, arg.Field(i))
		}
	default:
		arg := c.NewArg()
		visit(c.Name, 1, arg, arg)
	}
}
