package rule

import (
	"fmt"
	"strconv"
	"time"
)

func init() {
	addConverters("dates", []ConverterSpec{
		{Name: "http_date", Args: "([offset[,unit]])", Max: 2, In: KindInt, Out: KindString, Help: "date as in HTTP headers", build: func(b *binding, a []string) (converter, error) {
			var offset int64
			if len(a) > 0 && a[0] != "" {
				var err error
				if offset, err = strconv.ParseInt(a[0], 10, 64); err != nil {
					return nil, fmt.Errorf("'%s' is not a number", a[0])
				}
			}
			unit := ""
			if len(a) > 1 {
				unit = a[1]
			}
			per, err := dateUnit(unit)
			return func(tx *Tx, v Value) (Value, bool) {
				t := time.UnixMicro((v.Int + offset) * per).UTC()
				return Str(t.AppendFormat(tx.temp(32)[:0], "Mon, 02 Jan 2006 15:04:05 GMT")), true
			}, err
		}},
		dateConverter("ltime", "local time, formatted by strftime", false, time.Second),
		dateConverter("utime", "UTC, formatted by strftime", true, time.Second),
		dateConverter("ms_ltime", "local time of milliseconds", false, time.Millisecond),
		dateConverter("ms_utime", "UTC of milliseconds", true, time.Millisecond),
		dateConverter("us_ltime", "local time of microseconds", false, time.Microsecond),
		dateConverter("us_utime", "UTC of microseconds", true, time.Microsecond),
	})
}

func dateConverter(name, help string, utc bool, unit time.Duration) ConverterSpec {
	return ConverterSpec{Name: name, Args: "(format[,offset])", Min: 1, Max: 2, In: KindInt, Out: KindString, Help: help, build: func(b *binding, a []string) (converter, error) {
		var offset int64
		if len(a) == 2 && a[1] != "" {
			var err error
			if offset, err = strconv.ParseInt(a[1], 10, 64); err != nil {
				return nil, fmt.Errorf("'%s' is not a number", a[1])
			}
		}
		format := a[0]
		per := int64(unit / time.Microsecond)
		return func(tx *Tx, v Value) (Value, bool) {
			t := time.UnixMicro((v.Int + offset) * per)
			if utc {
				t = t.UTC()
			}
			return Str(appendStrftime(nil, format, t)), true
		}, nil
	}}
}

// strftimeLayouts translates the conversions that are one Go layout.
var strftimeLayouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'h': "Jan", 'B': "January", 'c': "Mon Jan _2 15:04:05 2006", 'd': "02", 'D': "01/02/06",
	'e': "_2", 'F': "2006-01-02", 'H': "15", 'I': "03", 'm': "01", 'M': "04", 'p': "PM", 'P': "pm", 'r': "03:04:05 PM", 'R': "15:04",
	'S': "05", 'T': "15:04:05", 'x': "01/02/06", 'X': "15:04:05", 'y': "06", 'Y': "2006", 'z': "-0700", 'Z': "MST",
}

func appendStrftime(dst []byte, format string, t time.Time) []byte {
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			dst = append(dst, format[i])
			continue
		}
		i++
		c := format[i]
		if l, ok := strftimeLayouts[c]; ok {
			dst = t.AppendFormat(dst, l)
			continue
		}
		switch c {
		case '%':
			dst = append(dst, '%')
		case 'n':
			dst = append(dst, '\n')
		case 't':
			dst = append(dst, '\t')
		case 's':
			dst = strconv.AppendInt(dst, t.Unix(), 10)
		case 'N':
			// HAProxy's own: fraction of the second in the sample's unit
			dst = fmt.Appendf(dst, "%06d", t.Nanosecond()/1000)
		case 'j':
			dst = fmt.Appendf(dst, "%03d", t.YearDay())
		case 'C':
			dst = fmt.Appendf(dst, "%02d", t.Year()/100)
		case 'k':
			dst = fmt.Appendf(dst, "%2d", t.Hour())
		case 'u':
			dst = strconv.AppendInt(dst, int64((t.Weekday()+6)%7+1), 10)
		case 'w':
			dst = strconv.AppendInt(dst, int64(t.Weekday()), 10)
		case 'U':
			dst = fmt.Appendf(dst, "%02d", (t.YearDay()+6-int(t.Weekday()))/7)
		case 'W':
			dst = fmt.Appendf(dst, "%02d", (t.YearDay()+6-int(t.Weekday()+6)%7)/7)
		case 'V':
			_, w := t.ISOWeek()
			dst = fmt.Appendf(dst, "%02d", w)
		case 'G':
			y, _ := t.ISOWeek()
			dst = strconv.AppendInt(dst, int64(y), 10)
		default:
			dst = append(dst, '%', c)
		}
	}
	return dst
}
